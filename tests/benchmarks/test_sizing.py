"""The reckoning of how many workers a load wants."""

from dataclasses import replace

import pytest

from tests.benchmarks.sizing import BURST, DAY, Load, Rules, arrivals, day

RULES = Rules(least=1, most=100, runs_per_worker=10, polling_s=10, stabilization_s=60)


def test_the_mean_of_a_day_is_what_was_asked_for() -> None:
    total = sum(arrivals(2, now) for now in range(DAY))
    bursts = 1 + (BURST - 1) * 60 / 3600
    assert total / DAY == pytest.approx(2 * bursts, rel=0.01)


def test_who_is_served_at_once_does_not_wait() -> None:
    found = day(Load(1, run_s=2), replace(RULES, least=5), seconds=3600)
    assert found.wait(1.0) == 0
    assert set(found.workers) == {5}


def test_a_worker_begins_as_many_runs_as_its_core_can() -> None:
    """70 a second at 10 ms each: of 100 a second (at night, 30) and no second worker, some wait longer and longer."""
    found = day(Load(400, cpu_ms=10), replace(RULES, most=1), seconds=600)
    assert sum(found.waits.values()) == pytest.approx(600 * 70)
    assert found.wait(0.95) > 60


def test_more_come_when_runs_pile_up_and_go_when_they_are_done() -> None:
    found = day(Load(10, run_s=5), RULES, seconds=DAY)
    assert max(found.workers) > found.workers[0]
    assert found.workers[-1] < max(found.workers)
    assert max(found.workers) <= 100
    assert found.worker_hours == pytest.approx(sum(found.workers) / 3600)


def test_no_run_is_lost_on_the_way() -> None:
    found = day(Load(20), Rules.of_chart(), seconds=7200)
    assert sum(found.waits.values()) == pytest.approx(sum(arrivals(20, now) for now in range(7200)), rel=0.01)
