"""Reading files: claim one, cut it into chunks, settle it, go on with the next. The page to read first.

A ring says that files wait, not which: whoever has a free slot takes the one whose turn it is, until none waits. Rings
that find no slot free are dropped, so that two thousand files occupy two slots of a worker and not all that runs need.

A crash anywhere leaves the file in progress under a lease that nobody renews; the sweeper lets it be claimed again and
nothing of the first attempt remains, for chunks are written in the commit that completes the file.
"""

import asyncio
import threading
import time
from collections.abc import Sequence

import structlog
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.crashpoints import crossing
from shared.database import Row
from shared.vector_stores import statements, transitions
from shared.vector_stores.transitions import Transition
from shared.wire import limits
from worker.deps import Deps
from worker.ingest.chunks import Chunk, Stopped, TooManyTokens, cut
from worker.ingest.text import Unreadable, check_format, decode
from worker.runs.live import Held, Stop

log = structlog.get_logger(__name__)

UNSTORABLE = (DataError, IntegrityError, ProgrammingError)
PAUSE_S = 0.2  # between two tries to write

Result = tuple[Transition, Sequence[Chunk]]


async def ingest(deps: Deps) -> None:
    """Answer one ring: read files until none waits, if a slot is free."""
    if not deps.slots.take():
        return
    try:
        while not deps.slots.closed:
            sent = time.monotonic()
            claim = statements.claim_fairly(transitions.claim(deps.owner, deps.settings.lease_duration))
            claimed = await deps.database.one(claim.sql, claim.params)
            if claimed is None:
                return
            crossing("file.claimed")
            await _read_one(deps, claimed, sent)
    finally:
        deps.slots.give_back()


async def _read_one(deps: Deps, claimed: Row, sent: float) -> None:
    words = {"file_id": claimed["id"], "vector_store_id": claimed["vector_store_id"], "term": claimed["term"]}
    settled = None
    with deps.ingesting.holding(claimed["ingestion"], claimed["term"], sent) as held:
        try:
            move, chunks = await _result(deps, claimed)
            deps.ingesting.leave(held)
            settled = await _store(deps, claimed, held, move, chunks)
        except asyncio.CancelledError:
            if held.why is not Stop.LEASE_LOST:  # the process is leaving: somebody else shall begin at once
                deps.ingesting.leave(held)
                await asyncio.shield(_settle(deps, claimed, held, transitions.release()))
                raise
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
    if settled is None:
        log.info("file.passed_on", **words)
        return
    crossing("file.settled")
    log.info("file.settled", status=settled.to, reason=settled.reason, **words)


async def _result(deps: Deps, claimed: Row) -> Result:
    """What comes of the file: the move that ends the work on it, and its chunks."""
    stop = threading.Event()
    try:
        check_format(claimed["filename"])
        raw = await _bytes(deps, claimed)
        chunks = await asyncio.to_thread(_cut, claimed, raw, stop)
    except Unreadable as error:
        return transitions.fail(error.code, error.message), ()
    except Exception:
        log.exception("file.crashed", file_id=claimed["id"])
        message = f"The server had an error while reading the file. The worker's log has it under {claimed['id']}."
        return transitions.fail("server_error", message), ()
    finally:
        stop.set()  # a thread can't be cancelled; it looks here
    return transitions.complete(sum(len(chunk.text.encode()) for chunk in chunks)), chunks


async def _bytes(deps: Deps, claimed: Row) -> bytes:
    """The file as it was uploaded. Raises Unreadable."""
    if claimed["bytes"] > limits.INGESTED_BYTES:
        most = limits.INGESTED_BYTES
        raise Unreadable("invalid_file", f"The file has {claimed['bytes']} bytes; at most {most} can be indexed.")
    try:
        return b"".join([part async for part in deps.store.open(claimed["id"])])
    except FileNotFoundError:
        raise Unreadable("server_error", "The file's content is missing from the server's storage.") from None


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


async def _store(deps: Deps, claimed: Row, held: Held, move: Transition, chunks: Sequence[Chunk]) -> Transition | None:
    """Carry out the move, or another one if the database won't have what was read; None if the file has passed on."""
    try:
        return move if await _settle(deps, claimed, held, move, chunks) else None
    except UNSTORABLE as error:
        log.error("file.unstorable", error=type(error).__name__)  # noqa: TRY400 # its text would quote the file
        move = transitions.fail("server_error", "What was read of the file could not be stored.")
        return move if await _settle(deps, claimed, held, move) else None


async def _settle(deps: Deps, claimed: Row, held: Held, move: Transition, chunks: Sequence[Chunk] = ()) -> bool:
    """Carry out the move; False if the file has passed on, or the database stays away for longer than the lease lasts.

    A statement that was cut off may have been committed; trying again then finds nothing to move, which is as good.
    """
    statement = statements.settle(move, claimed["ingestion"], claimed["term"], chunks)
    while True:
        try:
            return await deps.database.one(statement.sql, statement.params) is not None
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            log.warning("file.write_failed", to=move.to, error=type(error).__name__)
            if time.monotonic() + PAUSE_S > held.trusted_until:
                return False
            await asyncio.sleep(PAUSE_S)
