"""Looking for bytes that nobody refers to: now and then, by one worker of all, beside everything else that it does."""

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.files import orphans
from shared.metrics.worker import SWEEPS_FAILED
from worker.deps import Deps

log = structlog.get_logger(__name__)

LOOK_S = 60.0  # whether it is time


async def sweep_store_for_ever(deps: Deps) -> None:
    """Sweep whenever it is time, until cancelled."""
    while True:
        try:
            await orphans.sweep_if_due(deps.vital, deps.store)
        except (SQLAlchemyError, OSError) as error:
            SWEEPS_FAILED.labels("store").inc()
            log.warning("sweep.failed", duty="store", error=type(error).__name__)
        await asyncio.sleep(LOOK_S)
