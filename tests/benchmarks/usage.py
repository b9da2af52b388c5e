"""`python -m tests.benchmarks.usage [--runs N] [--times N]`: what questions about a month cost, of so many runs.

The rows are those that the sweepers would have left of the runs: of each hour, project, key and model one. Prints p50
and p95 of each question in milliseconds, by the same functions that the API calls; ends with 1 where one takes longer
than was promised.
"""

import argparse
import asyncio
import gc
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text

from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.usage import reading
from shared.usage.prices import PriceList
from shared.usage.reading import Dimension, Only, Span
from tests.system import create_database

RUNS, TIMES = 10_000_000, 30
PROMISED_MS = 200.0
DAYS, PROJECTS, KEYS, MODELS = 31, 20, 3, 3
START = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = Span(START, START + timedelta(days=DAYS), timedelta(days=1))
HOURS = Span(START, START + timedelta(days=7), timedelta(hours=1))

# Each run a turn or two; every hour has as many as the others, and each combination its share of them.
_FILL = text("""
INSERT INTO usage_minutes (kind, at, project_id, api_key_id, subject, requests, input_tokens, cached_tokens,
  output_tokens)
SELECT kind, CAST(:start AS timestamptz) + hour * interval '1 hour', 'proj_' || project,
  CASE kind WHEN 'embeddings' THEN '' ELSE 'key_' || project || '_' || key END,
  CASE kind WHEN 'completions' THEN (CAST(:models AS text[]))[model] WHEN 'embeddings' THEN 'text-embedding-3-small'
    ELSE '' END,
  :each, :each * 1200, :each * 300, :each * 200
FROM generate_series(0, :hours - 1) AS hour, generate_series(1, :projects) AS project,
  generate_series(1, :keys) AS key, generate_series(1, :models_) AS model,
  unnest(ARRAY['completions', 'embeddings', 'file_search_calls', 'code_interpreter_sessions']) AS kind
WHERE kind = 'completions' OR (model = 1 AND (kind <> 'embeddings' OR key = 1))""")

_FILL_BYTES = text("""
INSERT INTO usage_bytes (kind, hour, project_id, bytes)
SELECT 'vector_stores', CAST(:start AS timestamptz) + hour * interval '1 hour', project, 5368709120
FROM generate_series(0, :hours - 1) AS hour,
  (SELECT 'proj_' || number AS project FROM generate_series(1, :projects) AS number UNION ALL SELECT '') AS projects""")


class Took(NamedTuple):
    """One question, in milliseconds."""

    question: str
    p50_ms: float
    p95_ms: float


async def measure(database: Database, runs: int, times: int) -> list[Took]:
    """Fill the tables, and ask."""
    await fill(database, runs)
    took: list[Took] = []
    for question, ask in questions(database):
        await ask()
        each: list[float] = []
        for _ in range(times):
            began = time.perf_counter()
            await ask()
            each.append((time.perf_counter() - began) * 1000)
        took.append(Took(question, _percentile(each, 0.5), _percentile(each, 0.95)))
    return took


async def fill(database: Database, runs: int) -> None:
    """Leave what the sweepers leave of so many runs in a month."""
    hours = DAYS * 24
    params = {
        "start": START,
        "hours": hours,
        "projects": PROJECTS,
        "keys": KEYS,
        "models": ["gpt-4o", "gpt-4o-mini", "a-local-model"][:MODELS],
        "models_": MODELS,
        "each": max(1, runs // (hours * PROJECTS * KEYS * MODELS)),
    }
    await database.all(_FILL, params)
    await database.all(_FILL_BYTES, {name: params[name] for name in ("start", "hours", "projects")})
    await database.all(text("VACUUM ANALYZE usage_minutes, usage_bytes"))


def questions(database: Database) -> Iterator[tuple[str, Callable[[], Awaitable[object]]]]:
    """What people ask."""
    prices, project = PriceList.load(None), f"proj_{random.Random(0).randrange(1, PROJECTS + 1)}"
    groups: Sequence[tuple[str, Sequence[Dimension]]] = (
        ("in all", ()),
        ("by project", ("project_id",)),
        ("by project, key and model", ("project_id", "api_key_id", "subject")),
    )
    for name, by in groups:
        yield f"completions of a month, {name}", partial(reading.counts, database, "completions", MONTH, Only(), by)
    one = Only([project])
    yield (
        "completions of a month, one project, by model",
        partial(reading.counts, database, "completions", MONTH, one, ("subject",)),
    )
    yield "completions of a week by the hour", partial(reading.counts, database, "completions", HOURS, Only(), ())
    yield "vector stores of a month", partial(reading.stored, database, "vector_stores", MONTH, Only(), ())
    yield "costs of a month", partial(reading.costs, database, prices, MONTH, Only(), ())
    yield "costs of a month, by project", partial(reading.costs, database, prices, MONTH, Only(), ("project_id",))
    yield "costs of one project, as a budget asks", partial(reading.costs, database, prices, MONTH, one, ())


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.usage", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--times", type=int, default=TIMES)
    given = parser.parse_args()
    gc.freeze()  # as our processes do
    room = Path(tempfile.mkdtemp(prefix="assistantd-bench-"))
    room.chmod(0o711)  # a server that root starts runs as somebody else
    server = Postgres(room / "postgres")
    try:
        server.start()
        took = asyncio.run(_measured(create_database(server.url, "usage"), given.runs, given.times))
    finally:
        server.stop()
        shutil.rmtree(room)
    print(f"{'question':<60} {'p50 ms':>8} {'p95 ms':>8}")
    for one in took:
        print(f"{one.question:<60} {one.p50_ms:>8.1f} {one.p95_ms:>8.1f}")
    return int(any(one.p95_ms > PROMISED_MS for one in took))


async def _measured(url: str, runs: int, times: int) -> list[Took]:
    async with Database(url, pool_size=2) as database:
        return await measure(database, runs, times)


if __name__ == "__main__":
    sys.exit(main())
