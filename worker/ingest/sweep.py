"""What nobody else will do for vector stores: files whose worker died wait again, or fail; chunks of files that will
not be completed go; stores expire; lost rings are rung again.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from shared.database import Row
from shared.metrics.files import SETTLED as FILES_SETTLED
from shared.metrics.worker import SWEPT
from shared.queue import INGEST_QUEUE, RINGS_FOR_FILES
from shared.vector_stores import reading, statements, transitions
from shared.vector_stores.transitions import Transition
from worker.deps import Deps

log = structlog.get_logger(__name__)

LOST_AFTER = timedelta(seconds=2)
MAX_ATTEMPTS = 3  # workers that may die over one file
AT_MOST = 500  # rows of one statement
STORES_AT_MOST = 2  # whose files, which may be many, are emptied in one statement
FILES_AT_MOST = 500


async def sweep_files(deps: Deps) -> None:
    """Each duty once."""
    for row in await _move(deps, transitions.requeue_after_crash(), "attempts + 1 < :max_attempts"):
        SWEPT.labels("file_requeued").inc()
        log.warning("sweep.reader_lost", file_id=row["id"], attempts=row["attempts"])
    gave_up = transitions.give_up(f"The workers that read this file died {MAX_ATTEMPTS} times. It is not tried again.")
    for row in await _move(deps, gave_up, "attempts + 1 >= :max_attempts"):
        SWEPT.labels("file_given_up").inc()
        FILES_SETTLED.labels(row["status"], row["reason"]).inc()
        log.warning("sweep.file_failed", file_id=row["id"], vector_store_id=row["vector_store_id"])
    expiry = statements.expire_stores(STORES_AT_MOST)
    for row in await deps.vital.all(expiry.sql, expiry.params):
        SWEPT.labels("store_expired").inc()
        log.info("sweep.store_expired", vector_store_id=row["id"])
    await deps.vital.all(reading.FORGET_LEFT_OVER, {"at_most": FILES_AT_MOST})
    await deps.vital.all(statements.FORGET_REMOVED, {"at_most": AT_MOST})
    await _ring_again(deps)


async def _ring_again(deps: Deps) -> None:
    """Ring for files that have been waiting for a while, unless rings lie unanswered: all that can answer are busy."""
    params = {"patience": LOST_AFTER, "at_most": RINGS_FOR_FILES}
    waiting = await deps.vital.all(statements.WAITING, params)
    if waiting and await deps.outbox.length(INGEST_QUEUE) == 0:
        for row in waiting:
            SWEPT.labels("file_rung_again").inc()
            deps.doorbell.ring_for_files(row["vector_store_id"])


async def _move(deps: Deps, move: Transition, due: str) -> Sequence[Row]:
    statement = statements.sweep(move, due, {"max_attempts": MAX_ATTEMPTS, "at_most": AT_MOST})
    return await deps.vital.all(statement.sql, statement.params)
