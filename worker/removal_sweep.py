"""Removing what was deleted, beside everything else that a worker does."""

import asyncio
import time

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.database import Executor
from shared.metrics.worker import REMOVED, RETIRED, SWEEPS_FAILED
from shared.removals import retention
from shared.removals.commands import Removing
from worker.deps import Deps

log = structlog.get_logger(__name__)

EVERY_S = 1.0
RETAIN_EVERY_S = 60.0


async def remove_for_ever(deps: Deps) -> None:
    """Remove whatever there is to remove, until cancelled; now and then look for what projects keep no longer."""
    removing = removing_of(deps)
    retain_at = 0.0
    while True:
        try:
            if time.monotonic() >= retain_at:
                await retain(deps.system)
                retain_at = time.monotonic() + RETAIN_EVERY_S
            await remove_all(removing)
        except (SQLAlchemyError, OSError) as error:
            SWEEPS_FAILED.labels("removal").inc()
            log.warning("sweep.failed", duty="removal", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)


async def retain(db: Executor) -> None:
    """Delete what its project keeps no longer."""
    if deleted := await retention.enforce(db):
        for what, count in deleted.items():
            RETIRED.labels(what).inc(count)
        log.info("sweep.retired", **deleted)


def removing_of(deps: Deps) -> Removing:
    """Removal with what this process holds on to."""

    async def end_session(thread_id: str) -> None:
        if deps.sandbox is not None:
            await deps.sandbox.end(thread_id)

    return Removing(deps.system, deps.store, deps.outbox, end_session)


async def remove_all(removing: Removing) -> None:
    """Go round until there is nothing left. A crash leaves the rest to whoever looks next."""
    more = True
    while more:
        more = await removing.round()
        for what, count in removing.removed.items():
            REMOVED.labels(what).inc(count)
        if removing.removed:
            log.info("sweep.removed", **removing.removed)
