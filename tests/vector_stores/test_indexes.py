"""Indexes of large stores: built and dropped beside all else; whatever becomes of that, searches are right."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from shared import ids
from shared.audit.actor import command_line
from shared.database import Database, Session, session
from shared.vector_stores import commands as stores
from shared.vector_stores import indexes
from shared.vector_stores.search import Searcher
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.vector_stores.stage import Stage, told
from tests.vector_stores.vectors import CARS, FRUIT, found, spaces
from worker.deps import Deps
from worker.ingest import indexes as duty
from worker.ingest import sweep
from worker.ingest.executor import ingest
from worker.ingest.indexes import alone, index_one
from worker.ingest.reembed import reembed_one

LARGE = 20
QUERY = "what fruit is dried?"


@pytest.fixture(autouse=True)
def _small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "EACH_UP_TO", LARGE)
    monkeypatch.setattr(indexes, "KEPT_DOWN_TO", LARGE // 2)


@pytest.fixture
async def indexer(stage: Stage) -> AsyncIterator[Session]:
    """The session that sees to the indexes."""
    async with session(stage.deps.settings.database_url) as db:
        assert await alone(db)
        yield db


@pytest.fixture
async def looking(stage: Stage) -> AsyncIterator[Stage]:
    """The same with one connection, which searches and counts what it has asked."""
    async with Database(stage.deps.settings.database_url, pool_size=1) as database:
        yield replace(stage, database=database)


async def fill(stage: Stage, deps: Deps, files: int, store_id: str | None = None) -> list[str]:
    """So many files of a passage each, every other one about fruit."""
    made = [await stage.upload(ids.new("key")) for _ in range(files)]
    for number, file_id in enumerate(made):
        await stage.add_to(store_id or stage.store_id, file_id)
        deps.readers.reading = told(f"{CARS if number % 2 else FRUIT} {number}")
        await ingest(deps)
    return made


async def until(asked: Callable[[], Awaitable[object]]) -> None:
    """Ask until the answer is yes: of what other sessions do Postgres tells nobody who doesn't ask."""
    while not await asked():  # noqa: ASYNC110 # likewise
        await asyncio.sleep(0.01)


async def all_of(db: Session) -> int:
    """Do all that is due; how many things it was."""
    done = 0
    while await index_one(db):
        done += 1
    return done


async def existing(stage: Stage, *, valid: bool = True) -> list[str]:
    rows = await stage.database.all(
        text("""SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = CAST('passages' AS regclass) AND indisvalid = :valid AND relname LIKE '%near%'"""),
        {"valid": valid},
    )
    return [row["relname"] for row in rows]


async def scans(looking: Stage) -> int:
    """How often indexes of stores have been asked. What a session did is seen once it has said so."""
    await looking.database.all(text("SELECT pg_stat_force_next_flush()"))
    counted = "SELECT sum(idx_scan) AS n FROM pg_stat_user_indexes WHERE indexrelname LIKE 'passages\\_near\\_%'"
    row = await looking.database.one(text(counted))
    return 0 if row is None else row["n"] or 0


@asynccontextmanager
async def building(stage: Stage, db: Session) -> AsyncIterator["asyncio.Task[bool]"]:
    """An index that is being built for as long as the block lasts: it waits for somebody who writes."""
    async with stage.database.transaction(timedelta(minutes=1)) as writer:
        await writer.all(text("LOCK TABLE passages IN ROW EXCLUSIVE MODE"))
        task = asyncio.create_task(index_one(db))
        await until(lambda: existing(stage, valid=False))
        yield task


async def scores(stage: Stage, deps: Deps, *store_ids: str, **more: Any) -> list[float]:
    return [score for _, score in await found(stage, deps.searcher.spaces, QUERY, *store_ids, **more)]


async def test_a_large_store_is_searched_by_its_index_with_the_same_result(
    stage: Stage, looking: Stage, deps: Deps, indexer: Session
) -> None:
    await fill(stage, deps, LARGE + 1)
    small = await stores.create(stage.database, stage.project_id, {}, [], "english")
    await fill(stage, deps, LARGE, small["id"])
    where = ([stage.store_id], [small["id"]], [stage.store_id, small["id"]])
    exact = [await scores(looking, deps, *store_ids) for store_ids in where]

    assert await all_of(indexer) == 1
    assert await existing(stage) == [f"passages_near_1_{stage.store_id}"]
    asked = [0]
    for store_ids, expected in zip(where, exact, strict=True):
        assert await scores(looking, deps, *store_ids) == pytest.approx(expected)
        asked.append(await scans(looking))
    assert [after - before for before, after in pairwise(asked)] == [1, 0, 1]


async def test_the_planner_knows_what_is_in_the_index(stage: Stage, deps: Deps, indexer: Session) -> None:
    await fill(stage, deps, LARGE + 1)
    await all_of(indexer)
    function = await stage.database.one(text("SELECT prosrc FROM pg_proc WHERE proname = 'nearest_passages'"))
    assert function is not None
    statement = re.split("(?<!')'(?!')", function["prosrc"])[1].replace("''", "'")
    asked = {"$1": "(SELECT embedding FROM passages LIMIT 1)", "$2": "CAST(NULL AS jsonpath)", "$3": "5"}
    for name, value in asked.items():
        statement = statement.replace(name, value)
    await indexer.all(text("SET enable_sort = off"))  # as the function has it
    for store_id, is_used in ((stage.store_id, True), ("vs_other", False)):
        filled = await stage.database.one(
            text("SELECT format(:statement, 1, CAST(:store_id AS text), 512) AS sql"),
            {"statement": statement, "store_id": store_id},
        )
        assert filled is not None
        explained = await indexer.all(text(f"EXPLAIN {filled['sql']}"))
        assert any(f"passages_near_1_{stage.store_id}" in row["QUERY PLAN"] for row in explained) is is_used


async def test_searches_are_the_same_before_during_and_after_it_is_built(
    stage: Stage, looking: Stage, deps: Deps, indexer: Session
) -> None:
    await fill(stage, deps, LARGE + 5)
    before = await scores(looking, deps)
    async with building(stage, indexer) as task:
        meanwhile = await scores(looking, deps)
        assert await scans(looking) == 0
    await task

    assert await existing(stage)
    assert meanwhile == pytest.approx(before)
    assert await scores(looking, deps) == pytest.approx(before)
    assert await scans(looking) == 1


async def test_of_a_large_store_a_few_wanted_files_are_looked_at_one_by_one(
    stage: Stage, looking: Stage, deps: Deps, indexer: Session
) -> None:
    """The index would be asked for what is near, and hardly any of that is wanted."""
    file_ids = await fill(stage, deps, LARGE + 1)
    await all_of(indexer)
    few = text("""UPDATE vector_store_files SET attributes = '{"mine": true}' WHERE id = ANY(:ids)""")
    await stage.database.all(few, {"ids": file_ids[:4]})
    mine = {"type": "eq", "key": "mine", "value": True}

    assert len(await scores(looking, deps, filters=mine)) == 4
    assert await scans(looking) == 0
    others = await scores(looking, deps, filters={"type": "ne", "key": "mine", "value": True}, limit=50)
    assert len(others) == LARGE - 3


async def test_of_what_an_index_holds_only_wanted_files_are_found(
    stage: Stage, looking: Stage, deps: Deps, indexer: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_ids = await fill(stage, deps, 3 * LARGE)
    await all_of(indexer)
    monkeypatch.setattr(indexes, "EACH_UP_TO", 5)
    some = text("""UPDATE vector_store_files SET attributes = '{"mine": true}' WHERE id = ANY(:ids)""")
    await stage.database.all(some, {"ids": file_ids[1:LARGE:2]})  # all about cars
    mine = {"type": "eq", "key": "mine", "value": True}

    hits = await deps.searcher.search(
        looking.database.within(stage.project_id), stage.project_id, [stage.store_id], [QUERY], filters=mine, limit=50
    )

    assert {hit["file_id"] for hit in hits} == set(file_ids[1:LARGE:2])
    assert await scans(looking) == 1


async def test_a_store_that_shrinks_keeps_its_index_for_a_while(stage: Stage, deps: Deps, indexer: Session) -> None:
    await fill(stage, deps, LARGE + 1)
    await all_of(indexer)
    fewer = text("""DELETE FROM vector_store_files WHERE id IN (
      SELECT id FROM vector_store_files ORDER BY id LIMIT :number)""")

    await stage.database.all(fewer, {"number": LARGE // 2})
    kept = await all_of(indexer), await existing(stage)
    await stage.database.all(fewer, {"number": 1})

    assert kept == (0, [f"passages_near_1_{stage.store_id}"])
    assert await all_of(indexer) == 1
    assert await existing(stage) == []


@pytest.mark.parametrize("how", ["deleted", "expired"])
async def test_a_store_that_is_gone_leaves_no_index(stage: Stage, deps: Deps, indexer: Session, how: str) -> None:
    await fill(stage, deps, LARGE + 1)
    await all_of(indexer)
    if how == "deleted":
        await stores.delete(stage.database, command_line(), stage.project_id, stage.store_id)
        await stage.remove_rest()
    else:
        await stage.database.all(text("UPDATE vector_stores SET expires_after_days = 1, expires_at = now()"))
        await sweep.sweep_files(deps)

    assert await all_of(indexer) == 1
    assert await existing(stage) == []


async def test_a_store_that_is_deleted_while_its_index_is_built_leaves_none(
    stage: Stage, deps: Deps, indexer: Session
) -> None:
    await fill(stage, deps, LARGE + 1)
    async with building(stage, indexer) as task:
        await stores.delete(stage.database, command_line(), stage.project_id, stage.store_id)
        await stage.remove_rest()
    await task

    assert await all_of(indexer) == 1
    assert await existing(stage) == await existing(stage, valid=False) == []


async def test_vectors_in_another_space_have_another_index(
    stage: Stage, looking: Stage, deps: Deps, indexer: Session, embeddings: ScriptedEmbeddings
) -> None:
    await fill(stage, deps, LARGE + 1)
    await all_of(indexer)
    exact = await scores(looking, deps)
    other = spaces(stage, embeddings, embedding_model="second")
    newer = replace(deps, searcher=Searcher(other))
    while await reembed_one(newer, other):
        pass

    assert await all_of(indexer) == 2
    assert await existing(stage) == [f"passages_near_2_{stage.store_id}"]
    assert await scores(looking, newer) == pytest.approx(exact)
    assert await scans(looking) == 1
    await other.model.close()


async def test_one_process_sees_to_it_and_another_when_that_one_has_gone(stage: Stage, deps: Deps) -> None:
    await fill(stage, deps, LARGE + 1)
    url = stage.deps.settings.database_url
    async with session(url) as second:
        async with session(url) as first:
            assert await alone(first)
            assert not await alone(second)
            async with building(stage, first) as task:
                assert not await alone(second)
            await task
        await until(lambda: alone(second))  # Postgres has still to see that the first one has gone
        assert not await index_one(second)
    assert await existing(stage)


async def test_what_a_broken_session_leaves_is_built_anew(stage: Stage, looking: Stage, deps: Deps) -> None:
    await fill(stage, deps, LARGE + 1)
    exact = await scores(looking, deps)
    url = stage.deps.settings.database_url
    async with session(url) as first:
        assert await alone(first)
        row = await first.one(text("SELECT pg_backend_pid() AS pid"))
        async with building(stage, first) as task:
            await stage.database.all(text("SELECT pg_terminate_backend(:pid)"), row)
            with pytest.raises(DBAPIError):
                await task
    assert await existing(stage, valid=False) == [f"passages_near_1_{stage.store_id}"]
    assert await scores(looking, deps) == pytest.approx(exact)
    assert await scans(looking) == 0

    async with session(url) as second:
        assert await alone(second)
        assert await all_of(second) == 2

    assert await existing(stage, valid=False) == []
    assert await existing(stage) == [f"passages_near_1_{stage.store_id}"]


PROCESS = """
import asyncio
from shared.database import session
from shared.vector_stores import indexes
from worker.ingest.indexes import alone, index_one

async def build(url, each_up_to):
    indexes.EACH_UP_TO = each_up_to
    async with session(url) as db:
        assert await alone(db)
        await index_one(db)

asyncio.run(build({url!r}, {each_up_to}))
"""


async def test_of_a_process_that_is_killed_postgres_builds_to_the_end(stage: Stage, deps: Deps) -> None:
    await fill(stage, deps, LARGE + 1)
    url = stage.deps.settings.database_url
    program = PROCESS.format(url=url, each_up_to=LARGE)
    async with session(url) as successor:
        async with stage.database.transaction(timedelta(minutes=1)) as writer:
            await writer.all(text("LOCK TABLE passages IN ROW EXCLUSIVE MODE"))
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
            await until(lambda: existing(stage, valid=False))
            process.kill()
            await process.wait()
            assert not await alone(successor)
            assert await existing(stage, valid=False)
        await until(lambda: alone(successor))
        assert await existing(stage) == [f"passages_near_1_{stage.store_id}"]
        assert await all_of(successor) == 0


async def test_the_largest_stores_come_first_and_those_that_have_an_index_keep_it(
    stage: Stage, deps: Deps, indexer: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "AT_MOST", 1)
    larger = await stores.create(stage.database, stage.project_id, {}, [], "english")
    await fill(stage, deps, LARGE + 1)
    await fill(stage, deps, LARGE + 2, larger["id"])

    assert await all_of(indexer) == 1
    assert await existing(stage) == [f"passages_near_1_{larger['id']}"]
    await fill(stage, deps, 5)
    assert await all_of(indexer) == 0


async def test_without_the_right_to_index_large_stores_are_looked_through(
    stage: Stage, looking: Stage, deps: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a managed Postgres was migrated by another role than the one that serves."""
    await fill(stage, deps, LARGE + 1)
    exact = await scores(looking, deps)
    role = ids.new("key").lower()
    for granted in (
        "CREATE ROLE {role} LOGIN PASSWORD 'secret'",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
        "GRANT assistantd_tenant TO {role} WITH INHERIT FALSE, SET TRUE",
    ):
        await stage.database.all(text(granted.format(role=role)))
    url = make_url(stage.deps.settings.database_url).set(username=role, password="secret")
    theirs = url.render_as_string(hide_password=False)
    refused = asyncio.Event()

    def warning(event: str, **_: object) -> None:
        assert event == "index.not_allowed"
        refused.set()

    monkeypatch.setattr(duty.log, "warning", warning)
    settings = deps.settings.model_copy(update={"database_url": theirs})
    task = asyncio.create_task(duty.index_for_ever(replace(deps, settings=settings)))
    await asyncio.wait_for(refused.wait(), 10)
    task.cancel()

    async with Database(theirs, pool_size=1) as database:
        assert await scores(replace(stage, database=database), deps) == pytest.approx(exact)
    assert await existing(stage) == await existing(stage, valid=False) == []


async def test_the_duty_builds_what_is_due(stage: Stage, deps: Deps) -> None:
    await fill(stage, deps, LARGE + 1)
    task = asyncio.create_task(duty.index_for_ever(deps))
    while not await existing(stage):
        assert not task.done()
        await asyncio.sleep(0.01)
    task.cancel()
