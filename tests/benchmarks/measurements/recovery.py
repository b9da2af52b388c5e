"""A worker dies or freezes in mid-run, with default settings: when does the model hear of its runs again?

Four workers share the runs and go at the same instant, each at another phase of its heartbeat; a fifth one, idle until
then, picks everything up. A run is picked up when its row is in progress in its third term: claimed, queued again,
claimed; rows are looked at every 20 ms.
"""

import signal
import time
from collections.abc import Callable
from functools import partial

from tests.benchmarks import load
from tests.benchmarks.bench import Bench, Subject, wait_until
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.spread import Spread
from tests.system import Process

LEASE_S = 10  # the default
WITHIN_S = LEASE_S + 1.5
FIGURES = (
    Figure("killed_p99_s", "s", "worker SIGKILL → runs picked up again, p99", at_most=WITHIN_S),
    Figure("stopped_p99_s", "s", "worker SIGSTOP → runs picked up again, p99", at_most=WITHIN_S),
)
MODEL = "over-60"  # longer than anybody waits here

_HELD = "SELECT count(*) FROM runs WHERE status = 'in_progress'"
_TAKEN_OVER = "SELECT id, term FROM runs WHERE status = 'in_progress' AND term >= 3"


def _measure(bench: Bench) -> Values:
    killed = _lose(bench, Process.kill)
    stopped = _lose(bench, partial(Process.signal, number=signal.SIGSTOP))
    return {"killed_p99_s": killed, "stopped_p99_s": stopped}


def _lose(bench: Bench, go: Callable[[Process], None]) -> Measured:
    lease = bench.sizes.lease
    subject = bench.subject(**({} if lease is None else {"lease_duration": str(lease.total_seconds())}))
    system = subject.system
    try:
        victims = [subject.worker, *(_another_worker(subject) for _ in range(bench.sizes.victims - 1))]
        load.run(subject.plan("created", bench.sizes.lost, clients=4, model=MODEL))
        if not wait_until(lambda: system.query(_HELD)[0][0] == bench.sizes.lost):
            raise TimeoutError("not all runs were begun")
        _another_worker(subject)
        gone_at = time.time()
        for victim in victims:
            go(victim)
        waited = Spread(_picked_up(subject, bench.sizes.lost, gone_at))
    finally:
        bench.discard()
    return Measured(waited.percentile(99), f"p50 {waited.median:.2f}, max {waited.longest:.2f}")


def _another_worker(subject: Subject) -> Process:
    process = subject.system.spawn_worker()
    process.wait_until_ready()
    return process


def _picked_up(subject: Subject, runs: int, gone_at: float) -> list[float]:
    """Seconds after which each run was in somebody else's hands."""
    seen: dict[str, float] = {}

    def all_seen() -> bool:
        rows = subject.system.query(_TAKEN_OVER)
        now = time.time()
        for run_id, _ in rows:
            seen.setdefault(run_id, now - gone_at)
        return len(seen) >= runs

    if not wait_until(all_seen):
        raise TimeoutError(f"only {len(seen)} of {runs} runs were picked up")
    return list(seen.values())


RECOVERY = Measurement("recovery", FIGURES, _measure)
