"""The short form: a thousand runs, each fault at least once, no promise broken."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.chaos.drill import Drill, carry_out
from tests.chaos.faults import FAULTS, ROLLS
from tests.sandbox.service import require


@pytest.mark.alone
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


@pytest.mark.alone
@pytest.mark.timeout(400)
def test_a_roll_out_under_load_fails_nobody(room: Path) -> None:
    """Two API processes, three workers, one that reads files and a sandbox are replaced one after the other while 50
    clients go on: no run fails, none costs an attempt, and every stream that is cut is joined again to its end.
    """
    require("bwrap")
    root = room / "rolling"
    root.mkdir(mode=0o711)
    faults = tuple(ROLLS)
    drill = Drill(600, timedelta(seconds=180), faults=faults, pause_s=(0.2, 0.5), mishaps=0.0, whole=True)
    verdict = asyncio.run(carry_out(drill, root))
    assert verdict.innocent, verdict
    assert set(verdict.facts["statuses"]) <= {"completed", "cancelled"}, verdict
    assert "worker_lost" not in verdict.facts["moves of runs"], verdict
    assert all(verdict.facts.get(f"fault: {name}") for name in ROLLS)
