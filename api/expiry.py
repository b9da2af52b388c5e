"""Expires overdue runs where no worker is there to do it."""

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.database import Database
from shared.queue import Doorbell
from shared.redis import Sender
from shared.runs import commands as runs
from shared.runs import overdue

log = structlog.get_logger(__name__)

EVERY_S = 5.0  # workers look every second: this finds something only where there are none


async def expire_for_ever(database: Database, outbox: Sender, doorbell: Doorbell) -> None:
    """Look until cancelled. A database that is away is tried again the next time."""
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            for row in await overdue.expire(database, database.contents, outbox):
                log.warning("expiry.ended", run_id=row["id"], status=row["status"], reason=row["reason"])
                if row["has_next"] and (following := await runs.promote(database, row["thread_id"])) is not None:
                    doorbell.ring(following)
        except (SQLAlchemyError, OSError) as error:
            log.warning("expiry.failed", error=type(error).__name__)
