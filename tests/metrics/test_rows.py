"""The gauges that come from the database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from prometheus_client import Metric
from sqlalchemy import Executable, text

from shared.database import Database, Row
from shared.metrics import rows
from shared.metrics.registry import OTHER, Names
from shared.metrics.rows import RowsCollector
from shared.metrics.statements import STATE


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url, pool_size=2) as connected:
        yield connected


def figures(collected: list[Metric]) -> dict[str, float]:
    return {metric.name: metric.samples[0].value for metric in collected}


async def collect(collector: RowsCollector) -> dict[str, float]:
    """From another thread, as the listener does."""
    return figures(await asyncio.to_thread(lambda: list(collector.collect())))


async def test_many_askers_share_one_query(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Executable] = []
    plain = database.one

    async def counted(statement: Executable) -> Row | None:
        asked.append(statement)
        return await plain(statement)

    monkeypatch.setattr(database, "one", counted)
    collector = RowsCollector(database, asyncio.get_running_loop())

    told = await asyncio.gather(*(collect(collector) for _ in range(20)))

    assert len(asked) == 1
    assert all(one["assistantd_database_up"] == 1 for one in told)
    monkeypatch.setattr(rows, "FRESH_S", 0.0)
    await collect(collector)
    assert len(asked) == 2


async def test_a_database_that_is_away_is_said() -> None:
    async with Database("postgresql://nobody@127.0.0.1:1/nothing", pool_size=2) as nowhere:
        assert await collect(RowsCollector(nowhere, asyncio.get_running_loop())) == {"assistantd_database_up": 0}


async def test_a_database_that_hangs_is_not_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = asyncio.Event()

    async def hang(_: Executable) -> Row | None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return None

    monkeypatch.setattr(database, "one", hang)
    monkeypatch.setattr(rows, "WITHIN_S", 0.05)
    assert await collect(RowsCollector(database, asyncio.get_running_loop())) == {"assistantd_database_up": 0}
    async with asyncio.timeout(5):
        await cancelled.wait()


async def test_what_has_ended_is_not_looked_at(database: Database) -> None:
    """By partial indexes that exist, also where the planner has a choice: none of the three scans a table."""
    async with database.transaction(timedelta(seconds=10)) as transaction:
        await transaction.all(text("SET LOCAL enable_seqscan = off"))
        plan = await transaction.all(text(f"EXPLAIN {STATE.text}"))
    told = "\n".join(str(line["QUERY PLAN"]) for line in plan)
    assert "Seq Scan" not in told
    assert "runs_expiring" in told
    assert "vector_store_files_waiting" in told
    assert "vector_store_files_held" in told or "vector_store_files_leased" in told


def test_names_that_are_not_ours_are_bounded() -> None:
    names = Names(at_most=2)
    assert [names.label(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]
