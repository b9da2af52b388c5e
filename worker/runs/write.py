"""Writing what must be known to have been written, over a connection that may break."""

import asyncio
import time

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.database import Executor, Row
from shared.runs.statements import AS_WRITTEN, Statement
from shared.runs.status import RunStatus
from worker.runs.live import Held

log = structlog.get_logger(__name__)

PAUSE_S = 0.2


async def certain(database: Executor, statement: Statement, to: RunStatus, held: Held) -> Row | None:
    """Execute a guarded move until its fate is known, or the lease can't be trusted any more.

    A statement that was cut off may have been committed. If it is then refused, the row tells whether that is because
    it had succeeded: nobody else could have moved the run from in_progress to `to` within this term. Returns None if
    the run has passed on. Raises the database's error once the lease may be somebody else's; the sweeper takes over
    from there.
    """
    doubtful = False
    while True:
        try:
            row = await database.one(statement.sql, statement.params)
            if row is None and doubtful:
                row = await database.one(AS_WRITTEN, {"id": held.run_id, "term": held.term, "status": to})
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            doubtful = True
            log.warning("run.write_failed", to=to, error=type(error).__name__)
            if time.monotonic() + PAUSE_S > held.trusted_until:
                raise
            await asyncio.sleep(PAUSE_S)
        else:
            return row
