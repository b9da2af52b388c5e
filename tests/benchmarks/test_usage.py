"""The benchmark of questions about usage, in short: it runs, and finds what it has put there."""

from datetime import timedelta

from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.usage import reading
from shared.usage.reading import Only, Span
from tests.benchmarks.usage import DAYS, KEYS, MODELS, MONTH, PROJECTS, START, measure
from tests.system import create_database


async def test_the_month_has_its_runs(postgres: Postgres) -> None:
    async with Database(create_database(postgres.url, "usage_bench"), pool_size=2) as database:
        took = await measure(database, 10_000_000, 1)
        whole = Span(START, START + timedelta(days=DAYS), timedelta(days=DAYS))
        found = await reading.counts(database, "completions", whole, Only(), ())
        rows = [row for bucket in found.values() for row in bucket]

    each = 10_000_000 // (DAYS * 24 * PROJECTS * KEYS * MODELS)
    assert sum(row["requests"] for row in rows) == each * DAYS * 24 * PROJECTS * KEYS * MODELS > 9_500_000
    assert len(MONTH.buckets(100)) == DAYS
    assert len({one.question for one in took}) == len(took) > 8
