"""Cancels as they are published; one that is missed is found by the next heartbeat."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.queue import CANCELS_CHANNEL
from shared.redis import AWAY, connect, published
from worker.deps import Deps
from worker.runs.live import Stop
from worker.sweep import ring_again

log = structlog.get_logger(__name__)

RECONNECT_AFTER_S = 0.2


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
