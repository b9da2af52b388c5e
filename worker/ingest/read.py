"""The first stage: what the file says, cut into chunks, which are kept batch by batch."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from shared.crashpoints import crossing
from shared.database import Row, to_json
from shared.files.storage import StoreUnavailable
from shared.vector_stores import reading
from shared.wire import limits
from worker.blobs import whole
from worker.deps import Deps
from worker.ingest.chunks import Chunk, Stopped, TooManyTokens, cut
from worker.ingest.text import Unreadable, check_format, decode
from worker.ingest.write import write
from worker.runs.live import Held

READER = 1
"""Which version of this code read a file: raised when what is read of the same bytes changes."""

PATIENCE = timedelta(minutes=10)  # with a store that is away

BATCH = 64  # chunks that are kept at once: some 200 kB of text


async def read(deps: Deps, claimed: Row, held: Held) -> None:
    """Read the file and keep its chunks. Raises Unreadable, PassedOn.

    A crash leaves some of the chunks; the next worker removes them before it begins anew.
    """
    keys = {"ingestion": claimed["ingestion"], "term": claimed["term"]}
    await write(deps.database, held, reading.BEGIN, keys)
    chunks = await _chunks(deps, claimed)
    usage_bytes = 0
    for first in range(0, len(chunks), BATCH):
        if first:
            crossing("file.partly_read")
        batch = chunks[first : first + BATCH]
        usage_bytes += sum(len(chunk.text.encode()) for chunk in batch)
        totals = {"chunks": first + len(batch), "usage_bytes": usage_bytes, "pages": None, "pages_read": 0}
        await write(deps.database, held, reading.KEEP, {**keys, **totals, "new_chunks": _json(first, batch)})
    found = {"chunks": len(chunks), "format": "text", "reader": READER}
    await write(deps.database, held, reading.MARK_READ, {**keys, **found})
    crossing("file.read")


def _json(first: int, batch: Sequence[Chunk]) -> str:
    rows: list[dict[str, Any]] = [
        {"position": position, **chunk._asdict(), "page": None, "headings": []}
        for position, chunk in enumerate(batch, first + 1)
    ]
    return to_json(rows)


async def _chunks(deps: Deps, claimed: Row) -> Sequence[Chunk]:
    check_format(claimed["filename"])
    raw = await _bytes(deps, claimed)
    stop = threading.Event()
    try:
        return await asyncio.to_thread(_cut, claimed, raw, stop)
    finally:
        stop.set()  # a thread can't be cancelled; it looks here


async def _bytes(deps: Deps, claimed: Row) -> bytes:
    """The file as it was uploaded. Raises Unreadable."""
    if claimed["bytes"] > limits.INGESTED_BYTES:
        most = limits.INGESTED_BYTES
        raise Unreadable("invalid_file", f"The file has {claimed['bytes']} bytes; at most {most} can be indexed.")
    try:
        return await whole(deps.store, claimed["id"], PATIENCE)
    except FileNotFoundError:
        raise Unreadable("server_error", "The file's content is missing from the server's storage.") from None
    except StoreUnavailable:
        raise Unreadable("server_error", "The server's file storage did not work for 10 minutes.") from None


def _cut(claimed: Row, raw: bytes, stop: threading.Event) -> list[Chunk]:
    """Decode and cut, in a thread: the encoder is compiled code that lets the event loop run meanwhile."""
    size, overlap = claimed["max_chunk_size_tokens"], claimed["chunk_overlap_tokens"]
    try:
        return cut(decode(raw), size, overlap, at_most=limits.INGESTED_TOKENS, stop=stop)
    except TooManyTokens:
        message = f"The file has more than {limits.INGESTED_TOKENS} tokens, which is as many as can be indexed."
        raise Unreadable("invalid_file", message) from None
    except Stopped:
        return []  # nobody listens any more
