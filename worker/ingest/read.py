"""The first stage: what the file says, cut into chunks, which are kept batch by batch.

A child process reads it (`children.py`); here the file's bytes go to it, and what it tells goes to the database, which
is waited for before more is taken. Of a file of any length no more than that is in memory.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, BinaryIO

import structlog

from shared.crashpoints import crossing
from shared.database import Row, to_json
from shared.files.sealed import BlobDamaged
from shared.files.storage import StoreUnavailable
from shared.vault.contents import ContentLost
from shared.vector_stores import reading
from shared.wire import limits
from worker.blobs import copy
from worker.deps import Deps
from worker.ingest.children import ReaderLost, took_too_long
from worker.ingest.document import Unreadable
from worker.ingest.protocol import Done, Job, Progress
from worker.ingest.write import PassedOn, write
from worker.runs.live import Held

log = structlog.get_logger(__name__)

READER = 1
"""Which version of this code read a file: raised when what is read of the same bytes changes."""

STORE_PATIENCE = timedelta(minutes=10)  # with a store that is away

PATIENCE = 3
"""How many times the processor time of a file it may take by the clock: readers are nice to everything else."""


async def read(deps: Deps, claimed: Row, held: Held) -> None:
    """Read the file and keep its chunks. Raises Unreadable, PassedOn.

    A crash leaves some of the chunks; the next worker removes them before it begins anew. The file's copy has no name,
    and goes with whoever holds it.
    """
    keys = {"ingestion": claimed["ingestion"], "term": claimed["term"]}
    await write(deps.database, held, reading.BEGIN, keys)
    former = await write(deps.database, held, reading.COPY, {**keys, "reader": READER})
    if former["copied"]:
        crossing("file.read")
        return
    job = _job(deps, claimed)
    async with _bytes(deps, claimed) as file:
        try:
            async with asyncio.timeout(job.seconds * PATIENCE):
                chunks, done = await _keep(deps, held, keys, job, file)
        except TimeoutError:
            raise took_too_long(job.seconds * PATIENCE) from None
        except ReaderLost:
            log.warning("file.reader_lost", file_id=claimed["id"])
            raise PassedOn from None  # the lease runs out, which counts as an attempt
    found = {"chunks": chunks, "format": done["format"], "reader": READER}
    await write(deps.database, held, reading.MARK_READ, {**keys, **found})
    log.info("file.read", file_id=claimed["id"], peak_mb=done["peak_bytes"] >> 20, **found)
    crossing("file.read")


async def _keep(deps: Deps, held: Held, keys: Mapping[str, Any], job: Job, file: BinaryIO) -> tuple[int, Done]:
    """How many chunks there are when all is read, and what the reader said of it at the end."""
    chunks = 0
    async with deps.readers.reading(job, file) as frames:
        async for frame in frames:
            match frame["kind"]:
                case "progress":
                    if chunks:
                        crossing("file.partly_read")
                    chunks += len(frame["chunks"])
                    await write(deps.database, held, reading.KEEP, {**keys, **_totals(chunks, frame)})
                case "done":
                    return chunks, frame
                case "failed":
                    raise Unreadable(frame["code"], frame["message"], frame["error"])
    raise ReaderLost


def _totals(chunks: int, frame: Progress) -> dict[str, Any]:
    totals = {name: frame[name] for name in ("usage_bytes", "pages", "pages_read", "pages_unread")}
    return {**totals, "chunks": chunks, "new_chunks": to_json(frame["chunks"])}


def _job(deps: Deps, claimed: Row) -> Job:
    return Job(
        filename=claimed["filename"],
        chunk_tokens=claimed["max_chunk_size_tokens"],
        overlap_tokens=claimed["chunk_overlap_tokens"],
        most_tokens=limits.INGESTED_TOKENS,
        memory=deps.settings.ingest_memory << 20,
        seconds=round(deps.settings.ingest_timeout.total_seconds()),
    )


@asynccontextmanager
async def _bytes(deps: Deps, claimed: Row) -> AsyncGenerator[BinaryIO]:
    """The file as it was uploaded, on this machine's disk, without a name. Raises Unreadable."""
    with tempfile.TemporaryFile(prefix="assistantd-") as file:
        try:
            await copy(deps.store, claimed["id"], file, STORE_PATIENCE)
        except FileNotFoundError:
            raise Unreadable("server_error", "The file's content is missing from the server's storage.") from None
        except BlobDamaged as error:
            log.error("ingest.content_lost", file_id=claimed["id"], reason=str(error))  # noqa: TRY400 # the reason says it
            raise Unreadable("server_error", ContentLost.TOLD) from None
        except StoreUnavailable:
            raise Unreadable("server_error", "The server's file storage did not work for 10 minutes.") from None
        file.seek(0)
        yield file
