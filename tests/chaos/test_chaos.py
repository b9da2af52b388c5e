"""The short form: a thousand runs, each fault at least once, no promise broken."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.chaos.drill import Drill, carry_out
from tests.chaos.faults import FAULTS


@pytest.mark.timeout(300)
def test_a_thousand_runs_survive_every_fault(room: Path) -> None:
    """[RUN-1] [RUN-2] [RUN-3] [RUN-4] [RUN-5] [RUN-6] [RUN-7]. Servers are started by the main thread, so the test is
    not a coroutine of the session's loop but has a loop of its own.
    """
    root = room / "chaos"
    root.mkdir(mode=0o711)
    verdict = asyncio.run(carry_out(Drill(1000, timedelta(seconds=150), pause_s=(1.0, 3.0)), root))
    assert verdict.innocent, verdict
    assert verdict.facts["runs promised"] >= 1000
    assert all(verdict.facts.get(f"fault: {name}") for name in FAULTS)
