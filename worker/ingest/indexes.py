"""Indexes of large stores' vectors, built and dropped by one process of all; `shared/vector_stores/indexes.py` says why
nothing has to be put right after a crash.

Where the tables are somebody else's it is not allowed: large stores are then looked through passage by passage.
"""

import asyncio
import time

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from shared.database import Executor, session
from shared.vector_stores import indexes
from worker.deps import Deps

log = structlog.get_logger(__name__)

LOOK_S = 60.0  # whether anything is to be done, or nobody is there to do it
REST_S = 600.0  # after something that did not work: the disk may be full


async def index_for_ever(deps: Deps) -> None:
    """Wait to be the one, then see to the indexes for as long as the session lives, until cancelled."""
    while True:
        pause_s = LOOK_S
        try:
            async with session(deps.settings.database_url) as db:
                while await alone(db):
                    while await index_one(db):
                        pass
                    await asyncio.sleep(LOOK_S)
        except ProgrammingError as error:
            log.warning("index.not_allowed", error=str(error.orig))
            pause_s = REST_S
        except (DBAPIError, OSError) as error:
            log.warning("index.failed", error=type(error).__name__)
            lost = isinstance(error, OSError) or error.connection_invalidated
            pause_s = LOOK_S if lost else REST_S
        await asyncio.sleep(pause_s)


async def alone(db: Executor) -> bool:
    """Whether it is this session that sees to the indexes, until it ends."""
    row = await db.one(indexes.BEGIN, {"memory_kb": indexes.MEMORY_KB})
    return row is not None and row["alone"]


async def index_one(db: Executor) -> bool:
    """Do the next thing that is due; False if there is none."""
    limits = {"each_up_to": indexes.EACH_UP_TO, "kept_down_to": indexes.KEPT_DOWN_TO}
    due = await db.one(indexes.DUE, {**limits, "at_most": indexes.AT_MOST, "indexable": indexes.INDEXABLE})
    if due is None:
        return False
    log.info("index.dropping" if due["passages"] is None else "index.building", index=due["name"])
    began = time.monotonic()
    await db.all(text(due["statement"]))
    log.info("index.done", index=due["name"], took_s=round(time.monotonic() - began, 1))
    return True
