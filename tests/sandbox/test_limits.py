"""Code that doesn't behave: each call ends within its limit, and nobody else waits for it."""

import asyncio
import time
from uuid import uuid4

import pytest

from tests.sandbox.calls import run, until_busy, value
from worker.sandbox.client import SandboxClient, SandboxSession

pytestmark = pytest.mark.alone

NEIGHBOUR_WITHIN_S = 1.0


async def test_an_endless_loop_is_interrupted_and_variables_stay(session: SandboxSession) -> None:
    await run(session, "kept = 'still here'")
    heard = await run(session, "while True: pass", seconds=1)

    assert (heard.done.status, heard.done.reason, heard.done.is_lost) == ("interrupted", "timeout", False)
    assert heard.failure.name == "KeyboardInterrupt"
    assert 0.9 < heard.done.seconds < 2
    assert await value(session, "kept") == "'still here'"


async def test_code_that_ignores_the_interrupt_is_killed(session: SandboxSession) -> None:
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    heard = await run(session, code, seconds=1)

    assert (heard.done.status, heard.done.reason, heard.done.is_lost) == ("killed", "timeout", True)
    assert heard.done.seconds < 3


async def test_a_cancelled_call_stops_within_two_seconds(client: SandboxClient, session: SandboxSession) -> None:
    for code, status in (
        ("import time; time.sleep(60)", "interrupted"),
        ("import itertools; max(itertools.repeat(1))", "killed"),  # a loop in C that looks at no signal
    ):
        call_id = uuid4().hex
        calling = asyncio.create_task(run(session, code, call_id=call_id))
        await until_busy(client, session)
        began = time.monotonic()
        await session.cancel(call_id)
        heard = await calling
        assert time.monotonic() - began < 2
        assert (heard.done.status, heard.done.reason) == (status, "cancelled")


async def test_hanging_up_cancels_too(client: SandboxClient, session: SandboxSession) -> None:
    calling = asyncio.create_task(run(session, "import time\ntime.sleep(60)", call_id="given-up"))
    await until_busy(client, session)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)

    heard = await run(session, "import time\ntime.sleep(60)", call_id="given-up")
    assert heard.done.reason == "cancelled"
    assert heard.done.seconds < 5


async def test_output_is_cut_with_a_mark_and_the_code_goes_on(session: SandboxSession) -> None:
    heard = await run(session, "for _ in range(1000): print('x' * 1_000_000)\n'over'")

    assert heard.done.status == "ok"
    assert heard.done.truncated
    assert 1 << 20 < len(heard.text()) < (1 << 20) + 200
    assert heard.text().rstrip().endswith("[The output is cut here: one call may print 1048576 characters.]")
    assert await value(session, "'and the next call prints again'") == "'and the next call prints again'"


async def test_images_beyond_the_limit_are_named(session: SandboxSession) -> None:
    heard = await run(session, "from PIL import Image\nfor _ in range(25): display(Image.new('L', (2, 2)))")

    assert len(heard.images) == 20
    assert heard.text("stderr").count("[an image is left out: more than 20 in one call]") == 5


async def test_too_much_memory_in_one_process_is_an_error_like_any_other(session: SandboxSession) -> None:
    heard = await run(session, "kept = 1\ndata = bytearray(2 << 30)")

    assert heard.failure.name == "MemoryError"
    assert await value(session, "kept") == "1"


BOMBS = {
    "memory in many processes": """
import os, time
for _ in range(8):
    if os.fork() == 0:
        x = bytearray(b"x") * (200 << 20)
        time.sleep(60)
time.sleep(60)
""",
    "one great file after another": """
for n in range(100):
    with open(f"/mnt/data/{n}", "wb") as f:
        for _ in range(40):
            f.write(bytes(1 << 20))
""",
    "many small files": """
for n in range(1_000_000):
    open(f"/tmp/{n}", "w").close()
""",
    "many processes": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
}
REASONS = ("memory", "disk", "disk", "timeout")


@pytest.mark.parametrize(("name", "reason"), list(zip(BOMBS, REASONS, strict=True)))
async def test_a_bomb_ends_within_its_limit_and_delays_nobody(
    name: str, reason: str, client: SandboxClient, session: SandboxSession
) -> None:
    seconds = 3 if reason == "timeout" else 10  # what fills up fills up in time, on a busy machine, too
    neighbour = await client.open(f"neighbour_{uuid4().hex}")
    await run(neighbour, "n = 0")
    calling = asyncio.create_task(run(session, BOMBS[name], seconds=seconds))
    slowest = 0.0
    while not calling.done():
        began = time.monotonic()
        await value(neighbour, "n += 1\nn")
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.05)
    heard = calling.result()
    began = time.monotonic()
    await value(neighbour, "n")
    slowest = max(slowest, time.monotonic() - began)
    await client.end(neighbour.id)

    assert heard.done.reason == reason
    assert heard.done.is_lost or reason == "timeout"  # which may find an open ear
    assert heard.done.seconds < seconds + 2
    assert slowest < NEIGHBOUR_WITHIN_S
