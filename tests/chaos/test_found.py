"""What chaos has found, each as short as it gets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text

from api import auth
from api.app import create_app
from infra.embedded.postgres import Postgres
from shared import ids
from shared.audit.actor import command_line
from shared.database import Database
from shared.projects import keys
from shared.settings import Settings
from tests.system import create_database

_ANOTHER_RUN = text("""
INSERT INTO runs (id, project_id, thread_id, assistant_id, model, parallel_tool_calls, expires_at)
SELECT :id, project_id, id, 'asst_1', 'any', true, now() + interval '1 hour' FROM threads WHERE id = :thread_id""")
_WAITING = text("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    async with Database(create_database(postgres.url, f"found_{uuid4().hex}"), pool_size=2) as one:
        yield one


@pytest.fixture
async def client(postgres: Postgres, database: Database, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """An API in this process, with two connections to Postgres and no Redis."""
    name = (await database.all(text("SELECT current_database() AS name")))[0]["name"]
    settings = Settings.model_validate(
        {
            "database_url": postgres.url.rsplit("/", 1)[0] + f"/{name}",
            "redis_url": "redis://127.0.0.1:1/0",
            "data_dir": tmp_path,
            "database_pool": 2,
        }
    )
    headers = {"authorization": f"Bearer {await keys.create(database, command_line(), 'found')}"}
    app = create_app(settings)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://test/v1", headers=headers) as one,
    ):
        yield one


async def test_repeatable_requests_do_not_wait_for_each_other_s_connections(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request with an Idempotency-Key holds a connection for its transaction. If it needed another one (here: to
    recognise the caller, whose key is remembered for no time), as many requests as there are connections would stop
    the process until the pool's time-out.
    """
    monkeypatch.setattr(auth, "REMEMBERED_FOR_S", 0.0)
    async with asyncio.timeout(10):
        answers = await asyncio.gather(
            *(client.post("/threads", json={}, headers={"idempotency-key": str(number)}) for number in range(4))
        )
    assert [answer.status_code for answer in answers] == [200] * 4


async def test_a_repeatable_run_that_loses_the_race_for_a_thread_is_refused_and_does_not_fail(
    client: httpx2.AsyncClient, database: Database
) -> None:
    """[RUN-5]: the index refuses it, in a transaction that can't look for the reason any more."""
    assistant = (await client.post("/assistants", json={"model": "any"})).json()
    thread = (await client.post("/threads", json={})).json()
    path, body = f"/threads/{thread['id']}/runs", {"assistant_id": assistant["id"]}
    async with database.transaction(timedelta(seconds=30)) as winner:
        await winner.all(_ANOTHER_RUN, {"id": ids.new("run"), "thread_id": thread["id"]})
        loser = asyncio.create_task(client.post(path, json=body, headers={"idempotency-key": "mine"}))
        while await database.one(_WAITING) is None:
            pass  # each look is a round trip
    answer = await loser
    assert answer.status_code == 400, answer.text
    assert "already has an active run" in answer.text
