"""A blocked loop ends its process, with everybody's stack."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.alone

PROGRAM = """
import asyncio, threading
from datetime import timedelta
from worker.watchdog import Watchdog

async def main():
    watchdog = Watchdog(timedelta(seconds=0.3))
    watchdog.start(asyncio.get_running_loop())
    await asyncio.sleep(1)
    print("lived", flush=True)
    {then}

def hang():
    threading.Event().wait()

asyncio.run(main())
"""


def run(then: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(then=then)], capture_output=True, text=True, timeout=30, check=False
    )


def test_a_blocked_loop_ends_the_process_and_says_where() -> None:
    done = run("hang()")

    assert done.returncode == 70
    assert done.stdout.startswith("lived\n")
    assert "in hang" in done.stderr


def test_a_loop_that_ends_in_order_is_left_alone() -> None:
    assert run("watchdog.stop()").returncode == 0


def test_a_busy_loop_that_still_turns_is_left_alone() -> None:
    assert run("for _ in range(20): await asyncio.sleep(0.05)\n    watchdog.stop()").returncode == 0
