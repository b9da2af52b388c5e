"""Bytes without a row go when they are old, whatever became of their row; nothing else does."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Executable, text

from infra.embedded.postgres import Postgres
from shared import ids, table
from shared.database import Database, Row
from shared.files import commands as files
from shared.files import orphans
from shared.files.storage import BlobStore, LocalStore
from shared.projects.rows import Project
from shared.uploads import commands as uploads
from tests.blobs.test_contract import everything, keys, pieces
from tests.system import create_database

OLD = timedelta(days=1, minutes=1)
FACTS = {"filename": "a.txt", "purpose": "assistants", "mime_type": "text/plain", "bytes": 1}


@pytest.fixture
def store(depot: BlobStore) -> BlobStore:
    """The sweep asks what is there, never what is in it."""
    return depot


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    async with Database(create_database(postgres.url, ids.new("key").lower()), pool_size=2) as connected:
        yield connected


@pytest.fixture
async def project_id(database: Database) -> str:
    return (await table.add(database, Project, {"id": ids.new("proj"), "name": "p"}))["id"]


@pytest.fixture
def now() -> datetime:
    """An instant that everything was stored before: servers of the test can't make anything old."""
    return datetime.now(UTC) + timedelta(minutes=1)


async def known_file(database: Database, store: BlobStore, project_id: str) -> str:
    row = await files.upload(
        database, store, project_id, filename="a.txt", purpose="assistants", chunks=pieces(b"kept")
    )
    return row["id"]


async def known_part(database: Database, store: BlobStore, project_id: str) -> str:
    upload = await uploads.create(database, project_id, {**FACTS, "file_expires_after_s": None})
    return (await uploads.add_part(database, store, project_id, upload["id"], pieces(b"kept")))["id"]


async def orphan(store: BlobStore, kind: ids.Kind = "file") -> str:
    key = ids.new(kind)
    await store.put(key, pieces(b"left"))
    return key


async def test_bytes_without_a_row_go_and_no_others(
    database: Database, store: BlobStore, project_id: str, now: datetime
) -> None:
    kept = {await known_file(database, store, project_id), await known_part(database, store, project_id)}
    for kind in ("file", "part"):
        await orphan(store, kind)

    assert await orphans.sweep(database, store, now) == 2

    assert await keys(store) == kept
    assert {await everything(store, key) for key in kept} == {b"kept"}
    assert await orphans.sweep(database, store, now) == 0


async def test_what_is_young_may_still_get_its_row(database: Database, store: BlobStore) -> None:
    coming = await orphan(store)

    assert await orphans.sweep_if_due(database, store) == 0

    assert await keys(store) == {coming}


class Late(Database):
    """Writes the row of a file after the first look for it."""

    late: str | None = None
    project_id: str

    async def all(
        self, statement: Executable, params: Mapping[str, Any] | None = None, project_id: str | None = None
    ) -> Sequence[Row]:
        rows = await super().all(statement, params, project_id)
        if self.late is not None and "unnest" in str(statement):
            row = (
                "INSERT INTO files (id, project_id, filename, purpose, bytes, sha256) VALUES (:id, :p, 'a', 'b', 4, '')"
            )
            await super().all(text(row), {"id": self.late, "p": self.project_id})
            self.late = None
        return rows


async def test_a_row_that_is_written_while_we_look_keeps_its_bytes(
    postgres: Postgres, store: BlobStore, now: datetime
) -> None:
    """Each key is looked up once more just before its bytes go."""
    async with Late(create_database(postgres.url, ids.new("key").lower()), pool_size=2) as database:
        database.project_id = (await table.add(database, Project, {"id": ids.new("proj"), "name": "p"}))["id"]
        late, _ = await orphan(store), await orphan(store)
        database.late = late

        assert await orphans.sweep(database, store, now) == 1

    assert await keys(store) == {late}


async def test_a_store_that_belongs_to_another_database_is_left_alone(
    database: Database, store: BlobStore, project_id: str, now: datetime
) -> None:
    for _ in range(3):
        await known_file(database, store, project_id)
    many = {await orphan(store) for _ in range(orphans.A_FEW + 1)}

    assert await orphans.sweep(database, store, now) == 0
    assert many < await keys(store)


async def test_more_than_a_statement_takes(
    database: Database, tmp_path: Path, project_id: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "AT_ONCE", 3)
    monkeypatch.setattr(orphans, "AT_MOST", 7)
    store = LocalStore(tmp_path)
    kept = {await known_file(database, store, project_id) for _ in range(10)}
    for _ in range(9):
        await orphan(store)

    assert await orphans.sweep(database, store, now) == 7
    assert await orphans.sweep(database, store, now) == 2
    assert await keys(store) == kept


async def test_one_sweeps_for_all_and_only_now_and_then(database: Database, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    key = await orphan(store)
    make_old(tmp_path)

    assert sum(await asyncio.gather(*(orphans.sweep_if_due(database, store) for _ in range(5)))) == 1
    await store.put(key, pieces(b"left"))
    make_old(tmp_path)
    assert await orphans.sweep_if_due(database, store) == 0
    await database.all(text("UPDATE store_sweeps SET begun_at = now() - interval '61 minutes'"))
    assert await orphans.sweep_if_due(database, store) == 1


async def test_a_file_that_a_dead_process_left_half_written_goes(database: Database, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    await orphan(store)
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]  # noqa: ASYNC240 # a look, after the fact
    path.rename(path.with_suffix(".part"))
    assert await orphans.sweep_if_due(database, store) == 0
    assert path.with_suffix(".part").exists()
    make_old(tmp_path)
    (tmp_path / "notes.part").write_bytes(b"somebody else's")

    await database.all(text("DELETE FROM store_sweeps"))
    await orphans.sweep_if_due(database, store)

    assert not path.with_suffix(".part").exists()
    assert (tmp_path / "notes.part").exists()


def make_old(root: Path) -> None:
    """Everything below was last written a day ago and a minute."""
    then = (datetime.now(UTC) - OLD).timestamp()
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))
