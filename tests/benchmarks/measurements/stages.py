"""Where the time of one run goes, told from outside: nothing in the product is instrumented.

Client, upstream and Postgres share the machine's clock. `created_at`, `started_at` and `finished_at` are the instants
at which the statements that create, claim and settle a run began; the upstream notes when the request arrived and when
its last byte left; the client when it sent its request and what it saw when. Each stage ends where the next one
begins, so that the medians add up to the whole, nearly.
"""

from typing import TYPE_CHECKING

from tests.benchmarks import load
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.spread import Spread

if TYPE_CHECKING:
    from datetime import datetime

STAGES = {
    "api": "request sent → INSERT begins: HTTP, key, validation",
    "create": "INSERT begins → its answer seen: statement, commit, rendering, HTTP (the bell rings meanwhile)",
    "queue": "answer seen → claim begins: Redis, Celery, pool",
    "claim": "claim begins → request at the upstream: claim with context, commit, chat, HTTP",
    "upstream": "request at the upstream → its last byte",
    "answer": "last byte → settlement begins: parsing, events",
    "settle": "settlement begins → completion seen: statement, commit, last events, Redis, API",
    "token": "first byte of the upstream → first token seen (lies within `answer` and `settle`)",
}
FIGURES = tuple(Figure(f"stage_{name}_ms", "ms", meaning) for name, meaning in STAGES.items())

_INSTANTS = "SELECT created_at, started_at, finished_at FROM runs ORDER BY created_at DESC LIMIT %s"


def _measure(bench: Bench) -> Values:
    subject, runs = bench.subject(), bench.sizes.in_turn
    bench.upstream.answers()
    report = load.run(subject.plan("streamed", runs))
    rows: list[tuple[datetime, ...]] = list(reversed(subject.system.query(_INSTANTS, runs)))
    taken: dict[str, list[float]] = {name: [] for name in STAGES}
    for marks, row, (arrived, first_byte, last_byte) in zip(report.marks, rows, bench.upstream.answers(), strict=True):
        created, started, finished = (instant.timestamp() for instant in row)
        seen = marks["answered"], marks["completed"]
        instants = (marks["sent"], created, seen[0], started, arrived, last_byte, finished, seen[1])
        for name, since, until in zip(STAGES, instants, instants[1:], strict=False):
            taken[name].append((until - since) * 1000)
        taken["token"].append((marks["first"] - first_byte) * 1000)
    spreads = {name: Spread(values) for name, values in taken.items()}
    return {f"stage_{name}_ms": Measured(spread.median, str(spread)) for name, spread in spreads.items()}


STAGES_OF_A_RUN = Measurement("stages", FIGURES, _measure)
