"""What nobody else will do, so that no run is lost [RUN-1]: every worker sweeps every second, and rows that one of them
has locked the others skip.

A run whose worker died is queued again; after too many such deaths it fails. A cancelled run whose worker died is
ended, an overdue one expired. Runs that were rung for in vain are rung for again.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.crashpoints import crossing
from shared.database import Row
from shared.files import commands as files
from shared.idempotency.statements import FORGET
from shared.metrics import runs as metrics
from shared.metrics.worker import LAST_SWEEP, SWEEPS_FAILED, SWEPT
from shared.projects import limits
from shared.queue import RUNS_QUEUE
from shared.runs import commands, overdue, statements, transitions
from shared.runs.overdue import AT_MOST
from shared.runs.statements import FREE_THREADS, RING_AGAIN
from shared.runs.transitions import Transition
from shared.uploads import commands as uploads
from worker.deps import Deps
from worker.ingest.sweep import sweep_files

log = structlog.get_logger(__name__)

EVERY_S = 1.0
LOST_AFTER = timedelta(seconds=2)


async def sweep_for_ever(deps: Deps) -> None:
    """Sweep until cancelled."""
    while True:
        await sweep(deps)
        await asyncio.sleep(EVERY_S)


async def sweep(deps: Deps) -> None:
    """Each duty once; one that fails, because the database or the store is away, keeps none of the others waiting."""
    for duty in (_notice_limits, _requeue, _end, _promote, _ring, sweep_files, _forget):
        try:
            await duty(deps)
        except (SQLAlchemyError, OSError) as error:
            SWEEPS_FAILED.labels(duty.__name__.removeprefix("_")).inc()
            log.warning("sweep.failed", duty=duty.__name__.removeprefix("_"), error=type(error).__name__)
    LAST_SWEEP.set_to_current_time()


async def _notice_limits(deps: Deps) -> None:
    """Whether claims have to look at limits; a limit that is new is known to all workers in a second."""
    deps.live.limited = await limits.any_on_runs(deps.vital)


async def _requeue(deps: Deps) -> None:
    for row in await _move(deps, transitions.requeue_after_crash(), "attempts + 1 < max_attempts"):
        metrics.moved(row)
        SWEPT.labels("run_requeued").inc()
        log.warning("sweep.worker_lost", run_id=row["id"], attempts=row["attempts"])
        crossing("run.requeued")
        deps.doorbell.ring(row)


async def _end(deps: Deps) -> None:
    given_up = await _move(deps, transitions.give_up(), "attempts + 1 >= max_attempts")
    for row in given_up:
        metrics.moved(row)
    contents = deps.system.contents
    await overdue.announce_ends(contents, deps.outbox, given_up)
    for row in [*given_up, *await overdue.expire(deps.vital, contents, deps.outbox)]:
        SWEPT.labels("run_ended").inc()
        log.warning("sweep.ended", run_id=row["id"], status=row["status"], reason=row["reason"])


async def _promote(deps: Deps) -> None:
    for free in await deps.vital.all(FREE_THREADS, {"at_most": AT_MOST}):
        if (following := await commands.promote(deps.vital, free["thread_id"])) is not None:
            SWEPT.labels("run_promoted").inc()
            crossing("run.promoted")
            deps.doorbell.ring(following)


async def _ring(deps: Deps) -> None:
    unanswered = await deps.outbox.length(RUNS_QUEUE)
    deps.live.backlog = bool(unanswered)
    if unanswered is not None:
        await ring_again(deps, LOST_AFTER, unanswered)


async def ring_again(deps: Deps, patience: timedelta, unanswered: int = 0) -> None:
    """Ring for runs that have been waiting for longer than `patience` since their last ring, oldest ring first: for as
    many as there are more of than doorbells that lie `unanswered` in Redis. The others have been rung for.
    """
    params = {
        "patience": patience,
        "at_most": AT_MOST,
        "unanswered": unanswered,
        "at_once": deps.settings.project_concurrency,
    }
    for row in await deps.vital.all(RING_AGAIN, params):
        SWEPT.labels("run_rung_again").inc()
        deps.doorbell.ring(row)


async def _forget(deps: Deps) -> None:
    await deps.vital.all(FORGET, {"at_most": AT_MOST})
    if count := await files.delete_expired(deps.vital, deps.store, AT_MOST):
        SWEPT.labels("file_expired").inc(count)
        log.info("sweep.files_expired", files=count)
    if count := await uploads.forget(deps.vital, deps.store, AT_MOST):
        SWEPT.labels("part_forgotten").inc(count)
        log.info("sweep.parts_forgotten", parts=count)


async def _move(deps: Deps, move: Transition, due: str) -> Sequence[Row]:
    statement = statements.sweep(move, due, {"at_most": AT_MOST})
    return await deps.vital.all(statement.sql, statement.params)
