"""What can be done to files."""

from collections.abc import AsyncIterable, Sequence
from datetime import timedelta
from typing import Any

from shared import ids, table
from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Executor, Row, Transactional
from shared.errors import NotFound, found
from shared.files import room, statements
from shared.files.rows import File
from shared.files.storage import BlobStore, Stored, discard, keep_if_written


async def upload(
    db: Transactional,
    store: BlobStore,
    project_id: str,
    *,
    filename: str,
    purpose: str,
    chunks: AsyncIterable[bytes],
    expires_after: timedelta | None = None,
    at_most: int | None = None,
) -> Row:
    """Store the bytes, then the row. A crash or a broken connection between leaves bytes for `orphans.py`.

    Raises InvalidRequest if the project's files would then have more than `at_most` bytes together.
    """
    await room.require(db, project_id, 1, at_most)  # where there is none at all, nothing is stored
    file_id = ids.new("file")
    stored = await store.owned_by(project_id).put(file_id, chunks)
    params = {**_facts(file_id, project_id, filename, purpose, stored), "expires_after": expires_after}
    keeping = room.keep(db, statements.INSERT, params, stored.bytes, at_most)
    row = await keep_if_written(store, file_id, keeping)
    if row is None:
        raise LookupError("INSERT INTO files returned no row")
    return row


async def keep_generated(
    db: Executor,
    store: BlobStore,
    project_id: str,
    file_id: str,
    *,
    filename: str,
    purpose: str,
    chunks: AsyncIterable[bytes],
) -> None:
    """Store what the server made itself under an id that follows from what it is; doing it twice is harmless."""
    stored = await store.owned_by(project_id).put(file_id, chunks)
    await db.all(statements.KEEP, _facts(file_id, project_id, filename, purpose, stored))


def _facts(file_id: str, project_id: str, filename: str, purpose: str, stored: Stored) -> dict[str, Any]:
    facts = {"id": file_id, "project_id": project_id, "filename": filename, "purpose": purpose}
    return {**facts, "bytes": stored.bytes, "sha256": stored.sha256}


async def get(db: Executor, project_id: str, file_id: str) -> Row:
    """The file. Raises NotFound."""
    return found(await table.get(db, File, {"id": file_id, "project_id": project_id}), "file", file_id)


async def delete(db: Executor, by: Actor, store: BlobStore, project_id: str, file_id: str) -> None:
    """Forget the row, with the references of assistants and threads to it, then the bytes. Raises NotFound.

    A crash between, or a store that is away, leaves bytes for those who remove what is left (`shared/removals`).
    """
    params = {"id": file_id, "project_id": project_id, "entry": entry(by, "file.deleted", file_id, project_id)}
    if await db.one(statements.DELETE, params) is None:
        raise NotFound("file", file_id)
    await discard(store, file_id)


async def delete_expired(db: Executor, store: BlobStore, at_most: int) -> int:
    """Forget files whose time has come, as `delete` does; returns how many."""
    rows = await db.all(statements.DELETE_EXPIRED, {"at_most": at_most})
    for row in rows:
        await discard(store, row["id"])
    return len(rows)


def named(file_ids: Sequence[str]) -> table.Only:
    """Only these files."""
    return table.Only("id = ANY(:file_ids)", {"file_ids": list(file_ids)})


async def images(db: Executor, project_id: str, file_ids: Sequence[str]) -> Sequence[Row]:
    """id, filename and bytes of those of the files that are there."""
    return await db.all(statements.FACTS, {"ids": list(file_ids), "project_id": project_id})


async def require(db: Executor, project_id: str, file_ids: Sequence[str]) -> None:
    """Make sure that the project has all of these files. Raises NotFound."""
    if not file_ids:
        return
    missing = await db.one(statements.MISSING, {"ids": list(file_ids), "project_id": project_id})
    if missing is not None:
        raise NotFound("file", missing["id"])
