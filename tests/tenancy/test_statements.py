"""Statements that have lost their condition on the project, as by a slip: the wall stands behind them."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Table, TextClause, text

from api.app import create_app
from infra.embedded.postgres import Postgres
from shared import ids, table
from shared.audit.actor import command_line
from shared.audit.entries import entry
from shared.database import Database
from shared.files import statements as files
from shared.projects import keys
from shared.runs import statements as runs
from shared.runs import transitions
from shared.settings import Settings
from shared.threads import statements as threads
from shared.vector_stores import ranking
from shared.vector_stores import statements as stores
from shared.vector_stores.ranking import Vectors
from tests.system import create_database
from tests.tenancy.rows import MINE, THEIRS, walled

_CONDITION = re.compile(r"(\w+\.)?project_id = :project_id")

_SEARCHED: dict[str, Any] = {
    "store_ids": [f"vector_stores of {THEIRS}"],
    "queries": ["word"],
    "filter": None,
    "threshold": 0,
    "limit": 10,
    "enough": 10,
    "rare": 100,
    "few": 10,
    "candidates": 10,
    "vectors": [None],
}

_ENTRY = entry(command_line(), "thread.deleted", f"threads of {THEIRS}", THEIRS)

_CANCEL = runs.cancel(transitions.cancel_waiting(), f"runs of {THEIRS}", THEIRS)

STATEMENTS: dict[str, tuple[TextClause, dict[str, Any]]] = {
    "facts of files": (files.FACTS, {"ids": [f"files of {THEIRS}"]}),
    "deletion of a file": (files.DELETE, {"id": f"files of {THEIRS}", "entry": _ENTRY}),
    "deletion of a thread": (threads.DELETE_THREAD, {"thread_id": f"threads of {THEIRS}", "entry": _ENTRY}),
    "content of a file": (stores.CONTENT, {"ingestion": f"vector_store_files of {THEIRS}"}),
    "search": (ranking.search(Vectors.NONE), _SEARCHED),
    "cancellation of a run": (_CANCEL.sql, dict(_CANCEL.params)),
}

_SEARCHABLE = (
    "UPDATE vector_store_files SET status = 'completed', finished_at = now(), chunks = 1",
    "UPDATE chunks SET search = array_to_tsvector(ARRAY['word', 'vector_stores of ' || project_id])",
)


@pytest.mark.parametrize("name", STATEMENTS)
async def test_the_wall_stands_where_a_condition_is_missing(database: Database, name: str) -> None:
    for prepared in _SEARCHABLE:
        await database.all(text(prepared))
    statement, params = STATEMENTS[name]
    slip, lost = _CONDITION.subn("true", statement.text)
    assert lost > 0

    assert await database.within(MINE).all(text(slip), params) == []
    for one in walled():
        assert len(await database.all(text(f"SELECT * FROM {one.name}"))) == 2, one.name
    assert len(await database.within(THEIRS).all(text(slip), params)) == 1


@dataclass(frozen=True)
class Served:
    """An API in this process, without Redis, two projects that speak to it, and the database behind it."""

    mine: httpx2.AsyncClient
    theirs: httpx2.AsyncClient
    database: Database


@pytest.fixture
async def served(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Served]:
    url = create_database(postgres.url, ids.new("key").lower())
    settings = Settings.model_validate(
        {"database_url": url, "redis_url": "redis://127.0.0.1:1/0", "data_dir": tmp_path}
    )
    app = create_app(settings)

    def client(key: str) -> httpx2.AsyncClient:
        headers = {"authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test/v1", headers=headers)

    async with Database(url, pool_size=1) as database, app.router.lifespan_context(app):
        mine, theirs = [client(await keys.create(database, command_line(), name)) for name in ("mine", "theirs")]
        async with mine, theirs:
            yield Served(mine, theirs, database)


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Has the plain statements, which every noun needs, forget their condition on the project."""
    where, equal = table._where, table._equal  # pyright: ignore[reportPrivateUsage]
    made = table._select, table._select_page, table._delete  # pyright: ignore[reportPrivateUsage]

    def careless_where(names: tuple[str, ...]) -> str:
        return where(tuple(name for name in names if name != "project_id"))

    def careless_equal(of: Table, by: table.Keys) -> list[Any]:
        return equal(of, {name: value for name, value in by.items() if name != "project_id"})

    def forget() -> None:
        for statement in made:
            statement.cache_clear()
        monkeypatch.setattr(table, "_where", careless_where)
        monkeypatch.setattr(table, "_equal", careless_equal)

    yield forget
    for statement in made:
        statement.cache_clear()


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "one"}], ids=["plain", "repeatable"])
async def test_requests_are_behind_the_wall(
    served: Served, careless: Callable[[], None], headers: dict[str, str]
) -> None:
    mine, theirs = served.mine, served.theirs
    assistant = f"/assistants/{(await theirs.post('/assistants', json={'model': 'm'})).json()['id']}"
    thread = f"/threads/{(await theirs.post('/threads', json={})).json()['id']}"
    said = (await theirs.post(f"{thread}/messages", json={"role": "user", "content": "secret"})).json()["id"]
    message = f"{thread}/messages/{said}"
    careless()

    for path in (assistant, thread, message):
        assert (await mine.get(path)).status_code == 404, path
        assert (await mine.post(path, json={"metadata": {"a": "b"}}, headers=headers)).status_code == 404, path
        assert (await mine.delete(path)).status_code == 404, path
        assert (await theirs.get(path)).json()["metadata"] == {}, path
    assert (await mine.get("/assistants")).json()["data"] == []

    await served.database.all(text("DROP POLICY tenant ON assistants"))
    assert (await mine.get(assistant)).status_code == 200, "something else than the wall has hidden it"
