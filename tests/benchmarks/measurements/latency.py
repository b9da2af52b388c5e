"""One run at a time, nobody else there: how long a client waits."""

from tests.benchmarks import load
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.load import Plan

FIGURES = (
    Figure("completed_ms", "ms", "POST run → completed, as the stream tells it", at_most=12),
    Figure("completed_polled_ms", "ms", "POST run → completed, seen by polling every 5 ms", at_most=12),
    Figure("conversation_ms", "ms", "POST thread + message + run → completed, polled"),
    Figure("first_token_ms", "ms", "POST run → first token, above the upstream's own", at_most=10),
)


def _measure(bench: Bench) -> Values:
    subject, runs = bench.subject(), bench.sizes.in_turn
    upstream = load.run(Plan("direct", runs, bench.upstream.port)).spread_ms("sent", "first")
    streamed = load.run(subject.plan("streamed", runs))
    polled = load.run(subject.plan("polled", runs))
    first, completed = streamed.spread_ms("sent", "first"), streamed.spread_ms("sent", "completed")
    seen, all_of_it = polled.spread_ms("sent", "completed"), polled.spread_ms("began", "completed")
    polls = sum(marks["polls"] for marks in polled.marks) / runs
    return {
        "completed_ms": Measured(completed.median, str(completed)),
        "completed_polled_ms": Measured(seen.median, f"{seen}, {polls:.1f} polls a run"),
        "conversation_ms": Measured(all_of_it.median, str(all_of_it)),
        "first_token_ms": Measured(first.median - upstream.median, f"upstream's own {upstream.median:.2f}; {first}"),
    }


LATENCY = Measurement("latency", FIGURES, _measure)
