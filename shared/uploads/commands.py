"""What can be done to uploads."""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn

from shared import ids
from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.crashpoints import crossing
from shared.database import Executor, Row, Transactional
from shared.errors import InvalidRequest, found
from shared.files import room
from shared.files.storage import BlobStore, keep_if_written
from shared.uploads import statements
from shared.wire import limits

LIFETIME = timedelta(hours=1)
GRACE = timedelta(minutes=10)  # how long a completion may take that began in time
KEPT = timedelta(days=1)  # how long it is remembered how an upload ended

_MOST = {"most_bytes": limits.UPLOAD_PARTS_BYTES, "most_parts": limits.UPLOAD_PARTS}


async def create(db: Executor, project_id: str, columns: Mapping[str, Any], at_most: int | None = None) -> Row:
    """Insert an upload; `columns` are those of `wire.uploads.CreateUpload`. Raises InvalidRequest if its file would
    give the project's files more than `at_most` bytes.
    """
    await room.require(db, project_id, columns["bytes"], at_most)
    params = {**columns, "id": ids.new("upload"), "project_id": project_id, "lifetime": LIFETIME, "grace": GRACE}
    row = await db.one(statements.CREATE, params)
    if row is None:
        raise LookupError("INSERT INTO uploads returned no row")
    return row


async def add_part(
    db: Executor, store: BlobStore, project_id: str, upload_id: str, chunks: AsyncIterable[bytes]
) -> Row:
    """Store a part's bytes, then its row. A crash or a broken connection between leaves bytes for `files/orphans.py`.

    Raises NotFound, or InvalidRequest if the upload is over or has had as many parts as it may.
    """
    await _pending(db, project_id, upload_id)
    part_id = ids.new("part")
    stored = await store.owned_by(project_id).put(part_id, chunks)
    params = {"part_id": part_id, "bytes": stored.bytes, **_key(project_id, upload_id), **_MOST}
    row = await keep_if_written(store, part_id, db.one(statements.ADD_PART, params))
    if row is None:
        await _pending(db, project_id, upload_id)
        raise InvalidRequest(
            f"Upload {upload_id} can't take this part: all its parts, those that are not used in the end included, may "
            f"be {limits.UPLOAD_PARTS} and have {limits.UPLOAD_PARTS_BYTES} bytes together.",
            param="data",
        )
    return row


async def complete(
    db: Transactional,
    store: BlobStore,
    project_id: str,
    upload_id: str,
    part_ids: Sequence[str],
    md5: str | None,
    at_most: int | None = None,
) -> tuple[Row, Row]:
    """Make a file of these parts in this order; returns the upload and the file.

    The bytes go from the parts to the file in pieces, then one commit ends the upload and begins the file. A crash
    before it leaves the upload as it was, and the bytes written until then to `files/orphans.py`.

    Raises NotFound, or InvalidRequest if the upload is over, its parts are not what was declared, or the file would
    give the project's more than `at_most` bytes.
    """
    upload = await _pending(db, project_id, upload_id)
    sizes = {row["id"]: row["bytes"] for row in await db.all(statements.PARTS, _key(project_id, upload_id))}
    _check(upload, sizes, part_ids)
    await room.require(db, project_id, upload["bytes"], at_most)  # before its bytes are stored, and again with its row
    file_id = ids.new("file")
    stored = await store.owned_by(project_id).put(file_id, _joined(store, part_ids, md5))
    crossing("upload.joined")
    params = {"file_id": file_id, "sha256": stored.sha256, **_key(project_id, upload_id)}
    keeping = room.keep(db, statements.COMPLETE, params, upload["bytes"], at_most)
    file = await keep_if_written(store, file_id, keeping)
    if file is None:
        _refuse(await get(db, project_id, upload_id))
    crossing("upload.completed")
    return {**upload, "status": "completed"}, file


async def cancel(db: Executor, by: Actor, project_id: str, upload_id: str) -> Row:
    """End the upload; it takes no more parts. Raises NotFound, or InvalidRequest if it is over already."""
    told = entry(by, "upload.cancelled", upload_id, project_id)
    row = await db.one(statements.CANCEL, {**_key(project_id, upload_id), "entry": told})
    if row is None:
        _refuse(await get(db, project_id, upload_id))
    return row


async def get(db: Executor, project_id: str, upload_id: str) -> Row:
    """The upload, `expired` from the instant on at which it is. Raises NotFound."""
    row = found(await db.one(statements.GET, _key(project_id, upload_id)), "upload", upload_id)
    return {**row, "status": "expired"} if row["is_late"] else row


async def forget(db: Executor, store: BlobStore, at_most: int) -> int:
    """Forget parts of uploads that are over, bytes first; returns how many. A crash between leaves rows that the next
    call finds again.
    """
    parts = [row["id"] for row in await db.all(statements.PARTS_DUE, {"at_most": at_most})]
    for part_id in parts:
        await store.delete(part_id)
    if parts:
        await db.all(statements.FORGET_PARTS, {"ids": parts})
    await db.all(statements.FORGET, {"at_most": at_most, "kept": KEPT})
    return len(parts)


def _key(project_id: str, upload_id: str) -> dict[str, str]:
    return {"id": upload_id, "project_id": project_id}


async def _pending(db: Executor, project_id: str, upload_id: str) -> Row:
    """The upload. Raises NotFound, or InvalidRequest if it is over."""
    row = await get(db, project_id, upload_id)
    if row["status"] != "pending":
        _refuse(row)
    return row


def _refuse(upload: Row) -> NoReturn:
    raise InvalidRequest(f"Upload {upload['id']} is {upload['status']}; only a pending upload can be changed.")


def _check(upload: Row, sizes: Mapping[str, int], part_ids: Sequence[str]) -> None:
    """Raises InvalidRequest unless the parts are the upload's own, each once, and add up to what was declared."""
    for place, part_id in enumerate(part_ids):
        if part_id not in sizes:
            raise InvalidRequest(
                f"Invalid 'part_ids[{place}]': upload {upload['id']} has no part with id '{part_id}'.",
                param=f"part_ids[{place}]",
            )
    if len(set(part_ids)) < len(part_ids):
        raise InvalidRequest("Invalid 'part_ids': a part may be named once.", param="part_ids")
    total = sum(sizes[part_id] for part_id in part_ids)
    if total != upload["bytes"]:
        raise InvalidRequest(
            f"The parts have {total} bytes together, but 'bytes' of upload {upload['id']} is {upload['bytes']}.",
            param="part_ids",
        )


async def _joined(store: BlobStore, part_ids: Sequence[str], md5: str | None) -> AsyncIterator[bytes]:
    """The parts' bytes, one after the other. Raises InvalidRequest if some are gone (the sweeper was faster), and at
    the end if they are others than the client's.
    """
    told = hashlib.md5(usedforsecurity=False)
    for part_id in part_ids:
        try:
            async for chunk in store.open(part_id):
                if md5 is not None:
                    told.update(chunk)
                yield chunk
        except FileNotFoundError:
            raise InvalidRequest(f"The bytes of part {part_id} are gone.", param="part_ids") from None
    if md5 is not None and told.hexdigest() != md5.lower():
        raise InvalidRequest(
            f"The parts' bytes have the MD5 checksum {told.hexdigest()}, not {md5}: some of them are not what was "
            "sent, or the parts are in another order.",
            param="md5",
        )
