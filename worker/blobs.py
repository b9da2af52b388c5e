"""Reading a whole blob, from a store that may be away for a while."""

import asyncio
import io
import time
from datetime import timedelta
from typing import BinaryIO

import structlog

from shared.files.sealed import BlobDamaged
from shared.files.storage import BlobStore, StoreUnavailable

log = structlog.get_logger(__name__)

PAUSE_S = 1.0  # between two tries


async def whole(store: BlobStore, key: str, patience: timedelta) -> bytes:
    """The bytes. Raises as `copy` does."""
    into = io.BytesIO()
    await copy(store, key, into, patience)
    return into.getvalue()


async def copy(store: BlobStore, key: str, into: BinaryIO, patience: timedelta) -> None:
    """Write the bytes to an empty file. Whoever waits here holds a lease, which is renewed meanwhile, and nothing else.

    Raises FileNotFoundError, BlobDamaged, or StoreUnavailable once the store has been away for longer than `patience`.
    """
    give_up_at = time.monotonic() + patience.total_seconds()
    while True:
        try:
            async for part in store.open(key):
                await asyncio.to_thread(into.write, part)
        except BlobDamaged:
            raise
        except StoreUnavailable as error:
            if time.monotonic() + PAUSE_S > give_up_at:
                raise
            log.warning("blob.waited_for", key=key, reason=str(error))
            await asyncio.sleep(PAUSE_S)
            into.seek(0)
            into.truncate()
        else:
            return
