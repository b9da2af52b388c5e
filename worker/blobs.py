"""Reading a whole blob: small ones, which are held in memory anyway."""

import asyncio
import time
from datetime import timedelta

import structlog

from shared.files.storage import BlobStore, StoreUnavailable

log = structlog.get_logger(__name__)

PAUSE_S = 1.0  # between two tries


async def whole(store: BlobStore, key: str, patience: timedelta) -> bytes:
    """The bytes. Whoever waits here holds a lease, which is renewed meanwhile, and nothing else.

    Raises FileNotFoundError, or StoreUnavailable once the store has been away for longer than `patience`.
    """
    give_up_at = time.monotonic() + patience.total_seconds()
    while True:
        try:
            return b"".join([chunk async for chunk in store.open(key)])
        except StoreUnavailable as error:
            if time.monotonic() + PAUSE_S > give_up_at:
                raise
            log.warning("blob.waited_for", key=key, reason=str(error))
            await asyncio.sleep(PAUSE_S)
