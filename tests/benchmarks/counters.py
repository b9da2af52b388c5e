"""What Postgres and Redis have counted, with what goes on in the background taken off."""

import time
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.bench import Bench, Subject
from tests.benchmarks.load import Plan, run

_POSTGRES = """
SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
  coalesce(sum(calls), 0), coalesce(sum(total_exec_time), 0),
  (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'),
  (SELECT sum(fsync_time) FROM pg_stat_io WHERE object = 'wal')
FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums since some beginning, or differences of two such."""

    at: float
    commits: float
    statements: float
    statements_ms: float
    fsyncs: float
    fsyncs_ms: float
    redis_commands: float
    redis_reads: float  # how often Redis read from a socket: a round trip each

    def since(self, earlier: "Counters") -> "Counters":
        """What has been added."""
        return Counters(*(now - then for now, then in zip(self._all(), earlier._all(), strict=True)))

    def without(self, idle: "Counters") -> "Counters":
        """What is more than would have come about in the same time with nobody calling."""
        share = self.at / idle.at
        return Counters(*(all_ - share * own for all_, own in zip(self._all(), idle._all(), strict=True)))

    def per(self, runs: int) -> "Counters":
        """For each of so many runs."""
        return Counters(*(value / runs for value in self._all()))

    def _all(self) -> tuple[float, ...]:
        return (
            self.at,
            self.commits,
            self.statements,
            self.statements_ms,
            self.fsyncs,
            self.fsyncs_ms,
            self.redis_commands,
            self.redis_reads,
        )


def of_runs(bench: Bench, subject: Subject, plan: Plan) -> Counters:
    """What one call of a plan costs. Pauses for late reports, before it to see what goes on anyway, and for reports."""
    time.sleep(bench.sizes.statistics_after_s)  # of whatever was measured before
    began = _read(bench, subject)
    time.sleep(bench.sizes.statistics_after_s)
    before = _read(bench, subject)
    calls = len(run(plan).marks)
    time.sleep(bench.sizes.statistics_after_s)
    return _read(bench, subject).since(before).without(before.since(began)).per(calls)


def _read(bench: Bench, subject: Subject) -> Counters:
    postgres = subject.system.query(_POSTGRES)[0]
    with bench.redis() as client:
        commands: dict[str, Any] = client.info("commandstats")  # pyright: ignore[reportAssignmentType]
        reads: dict[str, Any] = client.info("stats")  # pyright: ignore[reportAssignmentType]
    called = sum(command["calls"] for command in commands.values())
    return Counters(time.time(), *map(float, (*postgres, called, reads["total_reads_processed"])))
