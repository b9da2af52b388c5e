"""What can be done to the files in a vector store, and to batches of them. Whatever makes files wait also rings."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared import ids, table
from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Executor, Row, to_json
from shared.errors import InvalidRequest, NotFound, found
from shared.files import commands as files
from shared.table import ALL, Listing, Only, Page
from shared.vector_stores import commands as stores
from shared.vector_stores import counts, statements
from shared.vector_stores.rows import FileBatch, StoreFile
from shared.vector_stores.status import FileStatus


async def add(db: Executor, project_id: str, store_id: str, new_file: Mapping[str, Any]) -> Row:
    """Put a file into the store, where it waits to be read; one that is there already begins anew.

    Raises NotFound, or InvalidRequest if the store has expired.
    """
    added = await _add(db, project_id, store_id, [new_file], None)
    if not added:  # the file went between the look and the leap
        raise NotFound("file", new_file["id"])
    return added[0]


async def add_batch(db: Executor, project_id: str, store_id: str, new_files: Sequence[Mapping[str, Any]]) -> Row:
    """Put several files into the store and remember that they came together. Raises like `add`."""
    batch_id = ids.new("vsfb")
    await _add(db, project_id, store_id, new_files, batch_id)
    return await get_batch(db, project_id, store_id, batch_id)


async def known(db: Executor, project_id: str, store_id: str, file_ids: Sequence[str]) -> set[str]:
    """Those of the files that are in the store, whatever has become of them."""
    params = {"vector_store_id": store_id, "project_id": project_id, "file_ids": list(file_ids)}
    return {row["id"] for row in await db.all(statements.KNOWN_FILES, params)}


async def get(db: Executor, project_id: str, store_id: str, file_id: str) -> Row:
    """The file as it is in the store. Raises NotFound."""
    row = await table.get(db, StoreFile, _file(project_id, store_id, file_id))
    if row is None:
        await stores.require(db, project_id, [store_id])
    return found(row, "file", file_id)


async def page(db: Executor, project_id: str, store_id: str, which: Page, only: Only = ALL) -> Listing:
    """One page of the store's files. Raises NotFound."""
    keys = {"vector_store_id": store_id, "project_id": project_id}
    listing = await table.page(db, StoreFile, keys, which, only)
    if not listing.rows:
        await stores.require(db, project_id, [store_id])
    return listing


def among(*, status: str | None = None, batch_id: str | None = None) -> Only:
    """Only files of this status, or of this batch. A file may change both while somebody pages."""
    chosen = {name: value for name, value in {"status": status, "batch_id": batch_id}.items() if value is not None}
    return Only(" AND ".join(f"{name} = :{name}" for name in chosen) or "true", chosen)


async def modify(db: Executor, project_id: str, store_id: str, file_id: str, attributes: Mapping[str, Any]) -> Row:
    """Replace the file's attributes. Raises NotFound."""
    changed = await table.modify(db, StoreFile, _file(project_id, store_id, file_id), {"attributes": dict(attributes)})
    return changed or await get(db, project_id, store_id, file_id)


async def remove(db: Executor, by: Actor, project_id: str, store_id: str, file_id: str) -> None:
    """Take the file out of the store; the file itself stays. Raises NotFound."""
    told = entry(by, "vector_store.file.deleted", file_id, project_id, {"vector_store_id": store_id})
    if not await table.remove(db, StoreFile, _file(project_id, store_id, file_id), told):
        await get(db, project_id, store_id, file_id)


async def content(db: Executor, project_id: str, store_id: str, file_id: str) -> list[str]:
    """The file's text as it was read: its chunks, in order. Raises NotFound, or InvalidRequest if there is none."""
    row = await get(db, project_id, store_id, file_id)
    if row["status"] != FileStatus.COMPLETED:
        raise InvalidRequest(f"The content of {file_id} can't be shown while its status is '{row['status']}'.")
    await stores.require_live(db, project_id, store_id)
    chunks = await db.all(statements.CONTENT, {"ingestion": row["ingestion"], "project_id": project_id})
    return [chunk["text"] for chunk in chunks]


async def get_batch(db: Executor, project_id: str, store_id: str, batch_id: str) -> Row:
    """The batch, with the counts of its files. Raises NotFound."""
    keys = {"id": batch_id, "vector_store_id": store_id, "project_id": project_id}
    batch = await table.get(db, FileBatch, keys)
    return await counts.of_batch(db, found(batch, "file batch", batch_id))


async def cancel_batch(db: Executor, project_id: str, store_id: str, batch_id: str) -> Row:
    """Cancel those of the batch's files that are in progress. Raises NotFound, or InvalidRequest if none is."""
    batch = await get_batch(db, project_id, store_id, batch_id)
    if batch["cancelled_at"] is None and not batch["counts"][FileStatus.IN_PROGRESS]:
        raise InvalidRequest(f"Cannot cancel file batch {batch_id}: none of its files is in progress.")
    keys = {"id": batch_id, "vector_store_id": store_id, "project_id": project_id}
    marked = found(await db.one(statements.MARK_CANCELLED, keys), "file batch", batch_id)
    move = statements.cancel_batch(batch_id, project_id)
    await db.all(move.sql, move.params)
    return await counts.of_batch(db, marked)


def new_file(file_id: str, attributes: Mapping[str, Any] | None, chunk_tokens: int, overlap_tokens: int) -> Row:
    """A file to be put into a store, as the statements take it in JSON."""
    return {
        "id": file_id,
        "ingestion": ids.new("vsf"),
        "attributes": attributes or {},
        "max_chunk_size_tokens": chunk_tokens,
        "chunk_overlap_tokens": overlap_tokens,
    }


async def _add(
    db: Executor, project_id: str, store_id: str, new_files: Sequence[Mapping[str, Any]], batch_id: str | None
) -> Sequence[Row]:
    await stores.require_live(db, project_id, store_id)
    file_ids = [new["id"] for new in new_files]
    await files.require(db, project_id, file_ids)
    params = {
        "id": store_id,
        "project_id": project_id,
        "batch_id": batch_id,
        "files": to_json(new_files),
    }
    return await stores.persistently(db, statements.ADD_FILES, params)


def _file(project_id: str, store_id: str, file_id: str) -> dict[str, str]:
    return {"id": file_id, "vector_store_id": store_id, "project_id": project_id}
