"""The connection breaks under the commit that a file's bytes were stored for: whether it happened is not known."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Executable
from sqlalchemy.exc import OperationalError

from shared import ids, table
from shared.database import Database, Row
from shared.files import commands as files
from shared.files.rows import File
from shared.files.storage import LocalStore
from shared.projects.rows import Project
from shared.uploads import commands as uploads


class Doubtful(Database):
    """Commits what makes a file, and loses the answer."""

    async def all(
        self, statement: Executable, params: Mapping[str, Any] | None = None, project_id: str | None = None
    ) -> Sequence[Row]:
        rows = await super().all(statement, params, project_id)
        if "INSERT INTO files" in str(statement):
            raise OperationalError("cut off", None, ConnectionError())
        return rows


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Doubtful]:
    async with Doubtful(database_url, pool_size=2) as connected:
        yield connected


@pytest.fixture
async def project_id(database: Doubtful) -> str:
    return (await table.add(database, Project, {"id": ids.new("proj"), "name": ids.new("proj")}))["id"]


async def said(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def content(database: Doubtful, store: LocalStore, project_id: str) -> bytes:
    """What the project's one file holds."""
    row = await table.get(database, File, {"project_id": project_id})
    assert row is not None
    return b"".join([piece async for piece in store.open(row["id"])])


async def test_a_file_that_may_be_there_keeps_its_bytes(database: Doubtful, project_id: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    with pytest.raises(OperationalError):
        await files.upload(
            database, store, project_id, filename="a.txt", purpose="assistants", chunks=said(b"one ", b"two")
        )

    assert await content(database, store, project_id) == b"one two"


async def test_an_upload_that_may_be_complete_keeps_its_bytes(
    database: Doubtful, project_id: str, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path)
    columns = {"filename": "a.txt", "purpose": "assistants", "mime_type": "text/plain", "bytes": 7}
    upload = await uploads.create(database, project_id, {**columns, "file_expires_after_s": None})
    part = await uploads.add_part(database, store, project_id, upload["id"], said(b"one two"))

    with pytest.raises(OperationalError):
        await uploads.complete(database, store, project_id, upload["id"], [part["id"]], None)

    assert await content(database, store, project_id) == b"one two"
