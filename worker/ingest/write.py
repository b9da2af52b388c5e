"""Writing for a file that is held: tried again for as long as the lease lasts, and not a moment longer."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import Executable
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.database import Executor, Row
from worker.runs.live import Held

log = structlog.get_logger(__name__)

PAUSE_S = 0.2  # between two tries


class PassedOn(Exception):
    """Somebody else has the file now, or nobody wants it any more, or the database stayed away for too long."""


async def write(database: Executor, held: Held, statement: Executable, params: Mapping[str, Any]) -> Row:
    """Execute a statement that is guarded by the file's ingestion and term, and harmless when sent twice.

    Raises PassedOn if it finds no row. One that was cut off may have been committed: a move then finds nothing to move
    when it is tried again, which is as good.
    """
    while True:
        try:
            row = await database.one(statement, params)
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            log.warning("file.write_failed", error=type(error).__name__)
            if time.monotonic() + PAUSE_S > held.trusted_until:
                raise PassedOn from None
            await asyncio.sleep(PAUSE_S)
            continue
        if row is None:
            raise PassedOn
        return row
