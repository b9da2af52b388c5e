"""Reading files: claim one, take it through its stages, settle it, go on with the next. The page to read first.

A ring says that files wait, not which: whoever has a free slot takes the one whose turn it is, until none waits. Rings
that find no slot free are dropped, so that two thousand files occupy two slots of a worker and not all that runs need.

A crash anywhere leaves the file in progress under a lease that nobody renews; the sweeper lets it be claimed again, and
the next worker begins with the stage that had not been finished.
"""

import asyncio
import time
from contextlib import suppress

import structlog
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from shared.crashpoints import crossing
from shared.database import Row
from shared.metrics import files as metrics
from shared.tracing.spans import note, span
from shared.vector_stores import statements, transitions
from shared.vector_stores.status import Stage
from shared.vector_stores.transitions import Transition
from worker.deps import Deps
from worker.ingest.document import Unreadable
from worker.ingest.embed import embed
from worker.ingest.read import read
from worker.ingest.write import PassedOn, write
from worker.runs.live import Held, Stop

log = structlog.get_logger(__name__)

UNSTORABLE = (DataError, IntegrityError, ProgrammingError)


async def ingest(deps: Deps) -> int:
    """Answer one ring: read files until none waits, if a slot is free. Returns how many."""
    files = 0
    if not deps.slots.take():
        return files
    try:
        while not deps.slots.closed:
            sent = time.monotonic()
            claim = statements.claim_fairly(transitions.claim(deps.owner, deps.settings.lease_duration))
            claimed = await deps.system.one(claim.sql, claim.params)
            if claimed is None:
                break
            crossing("file.claimed")
            await _ingest_one(deps.within(claimed["project_id"]), claimed, sent)
            files += 1
    finally:
        deps.slots.give_back()
    return files


async def _ingest_one(deps: Deps, claimed: Row, sent: float) -> None:
    words = {"file_id": claimed["id"], "vector_store_id": claimed["vector_store_id"]}
    words |= {"project_id": claimed["project_id"], "term": claimed["term"]}
    told = {f"assistantd.{name}": value for name, value in words.items()}
    with structlog.contextvars.bound_contextvars(**words), span("ingest_file", told, kind="consumer"):
        await _take_through(deps, claimed, sent)


async def _take_through(deps: Deps, claimed: Row, sent: float) -> None:
    settled = None
    with deps.ingesting.holding(claimed["ingestion"], claimed["term"], sent) as held:
        try:
            settled = await _settle(deps, claimed, held, await _conclude(deps, claimed, held))
        except PassedOn:
            pass
        except asyncio.CancelledError:
            if held.why is not Stop.LEASE_LOST:  # the process is leaving: somebody else shall begin at once
                await asyncio.shield(_give_back(deps, claimed, held))
                raise
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
    if settled is None:
        log.info("file.passed_on")
        return
    crossing("file.settled")
    note({"assistantd.status": settled["status"], "assistantd.reason": settled["reason"]})
    metrics.SETTLED.labels(settled["status"], settled["reason"]).inc()
    metrics.DURATION.observe(time.monotonic() - sent)
    log.info("file.settled", status=settled["status"], reason=settled["reason"])


async def _conclude(deps: Deps, claimed: Row, held: Held) -> Transition:
    """Take the file through its stages and name the move that ends the work on it. Raises PassedOn."""
    try:
        if claimed["stage"] != Stage.READ:
            with span("ingest_file read"):
                await read(deps, claimed, held)
        with span("ingest_file embed"):
            await embed(deps, claimed, held)
    except Unreadable as error:
        if error.error is not None:
            log.warning("file.stumbled", error=error.error)
        return transitions.fail(error.code, error.message)
    except UNSTORABLE as error:
        log.error("file.unstorable", error=type(error).__name__)  # noqa: TRY400 # its text would quote the file
        return transitions.fail("server_error", "What was read of the file could not be stored.")
    except PassedOn:
        raise
    except Exception:
        log.exception("file.crashed")
        message = f"The server had an error while reading the file. The worker's log has it under {claimed['id']}."
        return transitions.fail("server_error", message)
    return transitions.complete()


async def _settle(deps: Deps, claimed: Row, held: Held, move: Transition) -> Row:
    """Carry out the move, out of the heartbeat's sight. Raises PassedOn."""
    deps.ingesting.leave(held)
    statement = statements.settle(move, claimed["ingestion"], claimed["term"])
    return await write(deps.database, held, statement.sql, statement.params)


async def _give_back(deps: Deps, claimed: Row, held: Held) -> None:
    with suppress(PassedOn):
        await _settle(deps, claimed, held, transitions.release())
