"""Many speak over few connections, each as who they are, whatever became of the statement before theirs."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import ClassVar, TypeVar

import pytest
from psycopg.abc import PQGen
from psycopg.waiting import Wait
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from infra.embedded.postgres import Postgres
from shared import ids
from shared.database import Database, Executor
from shared.walls import WalledConnection
from tests.system import create_database
from tests.tenancy.rows import MINE, THEIRS, fill

IDLE = timedelta(seconds=10)
TENANT = "assistantd_tenant"

_WHO = text("SELECT current_user AS role, array_agg(project_id ORDER BY project_id) AS seen FROM assistants")
_LONG = text("SELECT pg_sleep(30) FROM assistants")
_TWICE = text("""
INSERT INTO assistants (id, project_id, model) SELECT id, project_id, model FROM assistants""")
_END_MYSELF = text("SELECT pg_terminate_backend(pg_backend_pid())")
_AT_WORK = text("""
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(30)%' AND state = 'active'
AND pid <> pg_backend_pid()""")

T = TypeVar("T")
Act = Callable[[Database, Executor], Awaitable[object]]
"""What is done to a database, with another one to look on by."""


@pytest.fixture
async def url(postgres: Postgres) -> str:
    made = create_database(postgres.url, ids.new("key").lower())
    async with Database(made, pool_size=1) as db:
        await fill(db, MINE, THEIRS)
    return made


class Watched(WalledConnection):
    """A connection that notes for what it waits."""

    waits: ClassVar[list[Wait]] = []

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109
        def noted() -> PQGen[T]:
            try:
                state = next(gen)
                while True:
                    self.waits.append(state)
                    state = gen.send((yield state))
            except StopIteration as end:
                return end.value

        return await super().wait(noted(), interval, timeout)


@pytest.fixture
async def aside(url: str) -> AsyncIterator[Executor]:
    async with Database(url, pool_size=1) as database:
        yield database


@pytest.fixture
async def single(url: str) -> AsyncIterator[Database]:
    """A pool of one connection."""
    async with Database(url, pool_size=1) as database:
        yield database


async def seen(db: Executor) -> list[str]:
    """Whose rows are seen."""
    found = await db.one(_WHO)
    assert found is not None
    assert (found["role"] == TENANT) == (found["seen"] != [MINE, THEIRS])
    return found["seen"]


async def everybody_is_who_they_are(database: Database) -> None:
    assert await seen(database) == [MINE, THEIRS]
    assert await seen(database.within(THEIRS)) == [THEIRS]
    async with database.transaction(IDLE) as transaction:
        assert await seen(transaction) == [MINE, THEIRS]
    async with database.within(MINE).transaction(IDLE) as transaction:
        assert await seen(transaction) == [MINE]
    assert await seen(database) == [MINE, THEIRS]
    assert await seen(database.within(MINE)) == [MINE]


async def test_all_of_it_leaves_in_one_write(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.database.WalledConnection", Watched)
    async with Database(url, pool_size=1) as database:
        for _turn in range(7):  # more often than psycopg sends a statement before it prepares it
            assert await seen(database.within(MINE)) == [MINE]
        Watched.waits.clear()
        assert await seen(database.within(MINE)) == [MINE]

    assert Watched.waits
    assert set(Watched.waits) == {Wait.R}, "a socket that has room is written to without being waited for"


@pytest.mark.parametrize("megabytes", [1, 40])
async def test_a_large_statement_leaves_as_well(single: Database, megabytes: int) -> None:
    """More than the socket takes at once."""
    said = "a" * megabytes * 1024 * 1024
    async with asyncio.timeout(30):
        row = await single.within(MINE).one(text("SELECT length(:said) AS length, :said AS said"), {"said": said})
    assert row == {"length": len(said), "said": said}
    await everybody_is_who_they_are(single)


async def test_a_statement_that_could_not_be_prepared_is_prepared_later(single: Database, aside: Executor) -> None:
    """Psycopg prepares what it sends for the sixth time, here while the statement can't be planned."""
    statement = text("SELECT project_id FROM assistants, later")
    await aside.all(text("CREATE TABLE later AS SELECT 1 AS one; GRANT SELECT ON later TO assistantd_tenant"))
    for _turn in range(5):
        await single.within(MINE).all(statement)
    await aside.all(text("ALTER TABLE later RENAME TO sooner"))
    with pytest.raises(DBAPIError, match="later"):
        await single.within(MINE).all(statement)
    await aside.all(text("ALTER TABLE sooner RENAME TO later"))
    for _turn in range(7):
        assert await single.within(MINE).all(statement) == [{"project_id": MINE}]


async def test_failures_are_told_as_what_they_are(single: Database) -> None:
    """However the answer comes in: in one piece with the end of the transaction, or before it, as on a busy loop."""
    enough = asyncio.Event()

    async def be_busy() -> None:
        while not enough.is_set():
            ends = time.perf_counter() + random.random() * 0.002  # no secret
            while time.perf_counter() < ends:
                pass
            await asyncio.sleep(0)

    busy = asyncio.create_task(be_busy())
    for _ in range(400):
        with pytest.raises(DataError):
            await single.within(MINE).all(text("SELECT 1 / (length(current_user) - length(current_user))"))
    enough.set()
    await busy
    await everybody_is_who_they_are(single)


async def succeed(database: Database, _: Executor) -> None:
    for _turn in range(7):  # more often than psycopg sends a statement before it prepares it
        assert await seen(database.within(MINE)) == [MINE]


async def fail(database: Database, _: Executor) -> None:
    with pytest.raises(IntegrityError):
        await database.within(MINE).all(_TWICE)


async def roll_back(database: Database, _: Executor) -> None:
    async def see_and_raise() -> None:
        async with database.within(MINE).transaction(IDLE) as transaction:
            assert await seen(transaction) == [MINE]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await see_and_raise()


async def fail_within_a_transaction(database: Database, _: Executor) -> None:
    """What went before stays, the role too."""
    async with database.within(MINE).transaction(IDLE) as transaction:
        with pytest.raises(IntegrityError):
            await transaction.all(_TWICE)
        assert await seen(transaction) == [MINE]


async def be_cancelled(database: Database, aside: Executor) -> None:
    task = asyncio.create_task(database.within(MINE).all(_LONG))
    await at_work(aside)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def be_cancelled_within_a_transaction(database: Database, aside: Executor) -> None:
    async def long() -> None:
        async with database.within(MINE).transaction(IDLE) as transaction:
            await transaction.all(_LONG)

    task = asyncio.create_task(long())
    await at_work(aside)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def be_cancelled_before_anything_is_sent(database: Database, _: Executor) -> None:
    task = asyncio.create_task(database.within(MINE).all(_WHO))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def lose_the_connection(database: Database, _: Executor) -> None:
    async def end() -> None:
        async with database.within(MINE).transaction(IDLE) as transaction:
            await transaction.all(_END_MYSELF)

    with pytest.raises(DBAPIError):
        await end()


async def at_work(aside: Executor) -> None:
    """Return once a long statement is being executed."""
    while not await aside.all(_AT_WORK):
        pass  # each look is a round trip


ACTS: list[Act] = [
    succeed,
    fail,
    roll_back,
    fail_within_a_transaction,
    be_cancelled,
    be_cancelled_within_a_transaction,
    be_cancelled_before_anything_is_sent,
    lose_the_connection,
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
async def test_nothing_is_left_of_a_project(single: Database, aside: Executor, act: Act) -> None:
    await act(single, aside)
    await everybody_is_who_they_are(single)


async def test_many_take_turns_on_few_connections(url: str, aside: Executor) -> None:
    """Two projects and the system at once, and in between statements that fail, are cancelled, or lose their
    connection: nobody ever sees what isn't theirs.
    """

    async def speak(database: Database, number: int) -> None:
        whose = (MINE, THEIRS)[number % 2]
        for turn in range(8):
            match (number + turn) % 5:
                case 0:
                    assert await seen(database) == [MINE, THEIRS]
                case 1:
                    async with database.within(whose).transaction(IDLE) as transaction:
                        assert await seen(transaction) == [whose]
                case 2 if turn < 2:
                    await ACTS[number % len(ACTS)](database, aside)
                case _:
                    assert await seen(database.within(whose)) == [whose]

    async with Database(url, pool_size=3) as database, asyncio.timeout(60):
        await asyncio.gather(*(speak(database, number) for number in range(40)))
        await everybody_is_who_they_are(database)
