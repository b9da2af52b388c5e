"""Bytes that nobody refers to: their row was never written, or they outlived it, because a process died in between.

A row is written after its bytes, so that bytes without a row may be those of a file that is just coming. They count as
left behind at the age of `ORPHANED_AFTER`: no `put` takes longer than `storage.STORED_WITHIN`, and nothing but one
statement stands between its end and the row. Age is by the store's clock against Postgres's, never by a worker's.

A store without the rows that belong to it looks the same as one that is full of orphans: a wrong DATABASE_URL, or an
empty database beside an old bucket. So nothing is deleted while most of what is in the store has no row.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import structlog

from shared.database import Executor
from shared.files import statements
from shared.files.storage import BlobStore

log = structlog.get_logger(__name__)

EVERY = timedelta(hours=1)
ORPHANED_AFTER = timedelta(days=1)
AT_ONCE = 1000  # keys of one statement
AT_MOST = 10_000  # orphans of one sweep; the next one takes others
A_FEW = 10  # orphans that are believed in whatever else is in the store


async def sweep_if_due(db: Executor, store: BlobStore) -> int:
    """Sweep unless somebody has, or is, within `EVERY`; returns of how many files and parts the bytes went.

    A crash in the middle leaves orphans to the next sweep.
    """
    begun = await db.one(statements.BEGIN_SWEEP, {"every": EVERY})
    return 0 if begun is None else await sweep(db, store, begun["begun_at"] - ORPHANED_AFTER)


async def sweep(db: Executor, store: BlobStore, before: datetime) -> int:
    """Forget what was stored before then and has no row, and what dead processes left half stored."""
    if unfinished := await store.forget_unfinished(before):
        log.info("sweep.unfinished_forgotten", blobs=unfinished)
    orphans, without, known = await _look(db, store, before)
    if without > max(A_FEW, known):
        log.error("sweep.store_is_not_ours", without_row=without, with_row=known)
        return 0
    forgotten = 0
    for first in range(0, len(orphans), AT_ONCE):
        for key in await _without_rows(db, orphans[first : first + AT_ONCE]):
            await store.delete(key)
            forgotten += 1
    if forgotten:
        log.info("sweep.orphans_forgotten", blobs=forgotten)
    return forgotten


async def _look(db: Executor, store: BlobStore, before: datetime) -> tuple[list[str], int, int]:
    """Keys of orphans, at most `AT_MOST`; how many there are; how many blobs as old have a row."""
    orphans: list[str] = []
    without = known = 0
    async for keys in _batches(store, before):
        found = await _without_rows(db, keys)
        without += len(found)
        known += len(keys) - len(found)
        orphans += found[: AT_MOST - len(orphans)]
    return orphans, without, known


async def _batches(store: BlobStore, before: datetime) -> AsyncIterator[list[str]]:
    """Keys of what was stored before then."""
    batch: list[str] = []
    async for blob in store.list():
        if blob.stored_at < before:
            batch.append(blob.key)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    yield batch


async def _without_rows(db: Executor, keys: Sequence[str]) -> list[str]:
    return [row["key"] for row in await db.all(statements.WITHOUT_ROWS, {"keys": list(keys)})]
