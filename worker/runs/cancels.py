"""Cancels: as they are published, where one that is missed is found by the next heartbeat; and as operators ask."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import InvalidRequest
from shared.queue import CANCELS_CHANNEL
from shared.redis import AWAY, connect, published
from shared.runs import commands
from shared.runs.overdue import announce_end
from shared.runs.statements import BY_IDS
from shared.runs.status import TERMINAL
from shared.vault.contents import ContentUnavailable
from worker.deps import Deps
from worker.runs.live import Stop
from worker.sweep import ring_again

log = structlog.get_logger(__name__)

RECONNECT_AFTER_S = 0.2


async def cancel(deps: Deps, run_id: str) -> None:
    """Cancel any run, as its client can, and tell so. Every worker may be asked at once: one of them does it."""
    try:
        run = await deps.system.one(BY_IDS, {"ids": [run_id]})
        if run is None:
            log.warning("cancels.unknown", run_id=run_id)
            return
        deps = deps.within(run["project_id"])
        row = await commands.cancel(deps.database, run["project_id"], run["thread_id"], run_id)
        log.info("cancels.by_operator", run_id=run_id)
        if row["status"] not in TERMINAL:
            deps.doorbell.cancel(run_id)
            return
        await announce_end(deps.system.contents, deps.outbox, row)
        if row["has_next"] and (following := await commands.promote(deps.database, row["thread_id"])) is not None:
            deps.doorbell.ring(following)
    except InvalidRequest:
        log.info("cancels.too_late", run_id=run_id)
    except (SQLAlchemyError, OSError, ContentUnavailable) as error:
        log.warning("cancels.failed", run_id=run_id, error=type(error).__name__)


async def hear_for_ever(deps: Deps) -> None:
    """Stop runs the moment that a cancel is published.

    This connection also notices when Redis is back after it was away: the doorbells of meanwhile were lost, and are
    rung again at once.
    """
    while True:
        try:
            await _hear(deps)
        except AWAY as error:
            log.warning("cancels.disconnected", error=type(error).__name__)
        await asyncio.sleep(RECONNECT_AFTER_S)


async def _hear(deps: Deps) -> None:
    client = connect(deps.settings.redis_url)
    try:
        async with client.pubsub() as channel:
            await channel.subscribe(CANCELS_CHANNEL)
            async for message in published(channel):
                if message["type"] == "subscribe":
                    await _ring_all(deps)
                elif message["type"] == "message" and (held := deps.live.get(message["data"].decode())) is not None:
                    held.stop(Stop.CANCEL_REQUESTED)
    finally:
        await client.aclose()


async def _ring_all(deps: Deps) -> None:
    try:
        await ring_again(deps, timedelta(0))
    except (SQLAlchemyError, OSError) as error:
        log.warning("cancels.ring_failed", error=type(error).__name__)  # the sweeper rings a little later
