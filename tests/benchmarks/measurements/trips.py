"""What a streamed run asks of Postgres and Redis, one run at a time."""

from tests.benchmarks import counters
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Measured, Measurement, Values

FIGURES = (
    Figure("commits", "", "Postgres: commits a streamed run", at_most=3.05),
    Figure("statements", "", "Postgres: statements a streamed run, two of them saying for whom", at_most=5.05),
    Figure("redis_commands", "", "Redis: commands a streamed run"),
    Figure("redis_round_trips", "", "Redis: reads from a socket a streamed run"),
)


def _measure(bench: Bench) -> Values:
    subject = bench.subject()
    cost = counters.of_runs(bench, subject, subject.plan("streamed", 4 * bench.sizes.in_turn))
    return {
        "commits": Measured(cost.commits, f"{cost.fsyncs:.2f} fsyncs, {cost.fsyncs_ms:.2f} ms"),
        "statements": Measured(cost.statements, f"executed in {cost.statements_ms:.2f} ms"),
        "redis_commands": Measured(cost.redis_commands),
        "redis_round_trips": Measured(cost.redis_reads),
    }


TRIPS = Measurement("trips", FIGURES, _measure)
