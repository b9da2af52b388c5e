"""Sessions of the code interpreter at once: places are kept exactly, and whoever gets none fails and says why."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import text

from infra.embedded.postgres import Postgres
from shared import ids
from shared.code_sessions import places
from shared.code_sessions.places import NoPlace
from shared.database import Database
from tests.system import create_database
from worker.runs.bill import Bill
from worker.runs.outcome import Failed
from worker.sandbox.clients import SandboxClients
from worker.sandbox.errors import FullError, RefusalError, StartingError
from worker.tools import code_interpreter

PROJECTS = text("""
INSERT INTO projects (id, name, max_sandbox_sessions) VALUES ('proj_two', 'two', 2), ('proj_any', 'any', NULL)""")


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    """With a project that may have two sessions, and one that may have any number."""
    url = create_database(postgres.url, ids.new("proj").lower())
    async with Database(url) as connected:
        await connected.all(PROJECTS)
        yield connected


async def get(database: Database, thread_id: str, project_id: str = "proj_two") -> bool:
    try:
        await places.take(database, project_id, thread_id)
    except NoPlace:
        return False
    return True


async def test_threads_that_come_at_once_get_as_many_places_as_there_are(database: Database) -> None:
    got = await asyncio.gather(*(get(database, f"thread_{number}") for number in range(9)))

    assert sum(got) == 2
    kept = [f"thread_{number}" for number, has in enumerate(got) if has]
    assert [await get(database, thread) for thread in kept] == [True, True], "a thread's next call needs no other place"
    assert not await get(database, "thread_late")


async def test_a_place_is_free_again_when_its_session_is_over(database: Database) -> None:
    assert [await get(database, f"thread_{number}") for number in range(3)] == [True, True, False]
    await database.all(text("UPDATE sandbox_places SET until = now() WHERE thread_id = 'thread_0'"))

    assert await get(database, "thread_2")
    assert not await get(database, "thread_0")
    rows = await database.all(text("SELECT thread_id FROM sandbox_places ORDER BY thread_id"))
    assert [row["thread_id"] for row in rows] == ["thread_1", "thread_2"]


async def test_who_is_not_limited_leaves_no_trace(database: Database) -> None:
    assert all([await get(database, f"thread_{number}", "proj_any") for number in range(5)])
    assert await database.all(text("SELECT FROM sandbox_places")) == []


async def test_who_gets_none_fails_and_says_why(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [await get(database, f"thread_{number}") for number in range(2)] == [True, True]
    monkeypatch.setattr(code_interpreter, "ROOM_WITHIN", timedelta(seconds=-1))
    deps: Any = SimpleNamespace(database=database, sandbox=object())
    run = {"project_id": "proj_two", "thread_id": "thread_2"}

    with pytest.raises(Failed) as failed:
        await code_interpreter.carry_out(deps, run, {}, "call", lambda _: None, lambda: None, Bill([]))

    assert failed.value.code == "rate_limit_exceeded"
    assert failed.value.message == "The project has as many sessions of the code interpreter as it may have: 2."


async def test_a_session_that_is_about_to_begin_is_waited_for_and_room_only_for_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[RefusalError] = [StartingError("not yet"), StartingError("not yet"), FullError("all are in use")]

    async def refuse(_: web.Request) -> web.Response:
        error = refusals.pop(0)
        return web.json_response({"error": {"code": error.code, "message": error.message}}, status=error.status)

    monkeypatch.setattr(code_interpreter, "ROOM_WITHIN", timedelta(seconds=-1))
    monkeypatch.setattr(code_interpreter, "ASK_AGAIN_S", 0)
    app = web.Application()
    app.router.add_put("/sessions/{id}", refuse)
    async with TestServer(app) as server:
        sandbox = SandboxClients([str(server.make_url("")).rstrip("/")], "secret")
        deps: Any = SimpleNamespace(database=database, sandbox=sandbox)
        with pytest.raises(Failed, match="The code interpreter refuses: all are in use"):
            await code_interpreter.carry_out(
                deps,
                {"project_id": "proj_any", "thread_id": "thread_0"},
                {},
                "call",
                lambda _: None,
                lambda: None,
                Bill([]),
            )
        await sandbox.close()

    assert not refusals
