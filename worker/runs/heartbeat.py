"""One statement a process and a third of a lease renews everything that the process holds."""

import asyncio
import time

import structlog
from sqlalchemy import TextClause
from sqlalchemy.exc import SQLAlchemyError

from shared.runs.statements import RENEW
from shared.vector_stores import statements as files
from worker.deps import Deps
from worker.runs.live import Live, Stop

log = structlog.get_logger(__name__)


async def beat_for_ever(deps: Deps) -> None:
    """Renew leases; stop runs that were lost or cancelled. Those that can't be renewed in time stop by themselves."""
    pause_s = deps.settings.lease_duration.total_seconds() / 3
    while True:
        await asyncio.sleep(pause_s)
        try:
            async with asyncio.timeout(pause_s):
                await beat(deps)
        except (SQLAlchemyError, OSError) as error:
            log.warning("heartbeat.failed", error=type(error).__name__)


async def beat(deps: Deps) -> None:
    """Renew once. What is not renewed has passed on."""
    await _renew(deps, deps.live, RENEW)
    await _renew(deps, deps.ingesting, files.RENEW)


async def _renew(deps: Deps, live: Live, statement: TextClause) -> None:
    held = live.all()
    if not held:
        return
    sent = time.monotonic()
    params = {
        "lease": deps.settings.lease_duration,
        "ids": [one.run_id for one in held],
        "terms": [one.term for one in held],
    }
    found = {row["id"]: row for row in await deps.vital.all(statement, params)}
    for one in held:
        if live.get(one.run_id) is not one:  # it left while the statement was on its way
            continue
        row = found.get(one.run_id)
        if row is None:
            one.stop(Stop.LEASE_LOST)
        elif row["cancel_requested"]:
            one.stop(Stop.CANCEL_REQUESTED)
        elif row["renewed"]:
            live.renewed(one, sent)
