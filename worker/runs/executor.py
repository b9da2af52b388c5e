"""Executing a run: claim it, drive it turn by turn, settle it. The page to read first.

A crash anywhere leaves the run in progress under a lease that nobody renews; the sweeper queues it again and the next
worker goes on after the last recorded step, which it finds in the context that it claims [RUN-2].
"""

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.crashpoints import crossing
from shared.database import Row
from shared.events.log import keeping
from shared.events.writer import EventWriter
from shared.runs import commands, statements, transitions
from shared.runs.statements import NEXT_OF_PROJECT
from shared.runs.status import RunStatus
from shared.runs.transitions import Cancel, Transition
from shared.wire.runs import run_object
from worker.deps import Deps
from worker.models.client import Patience
from worker.models.deltas import USAGE
from worker.models.errors import ModelError
from worker.runs import turn, write
from worker.runs.claim import claim, is_usable
from worker.runs.clock import RunClock
from worker.runs.live import Held, Stop
from worker.runs.outcome import Finished, NeedsClient, Outcome, Truncated
from worker.runs.question import question
from worker.runs.turn import Ending, Turn

log = structlog.get_logger(__name__)

T = TypeVar("T")

UNSTORABLE = (DataError, IntegrityError, ProgrammingError, TypeError, ValueError)


async def execute(run_id: str, deps: Deps) -> None:
    """Answer one ring of the doorbell. A run that somebody else has, or that is over, is left alone; with a backlog the
    slot goes to whose turn it is.
    """
    claimed, leaving = await _finish(claim(run_id, deps))
    if claimed is None:
        return
    crossing("run.claimed")
    run = claimed.run
    structlog.contextvars.bind_contextvars(run_id=run["id"], thread_id=run["thread_id"], term=run["term"])
    with deps.live.holding(run["id"], run["term"], claimed.sent) as held:
        attempt = Attempt(deps, run, held)
        go_on = not leaving and is_usable(run, deps)
        move, ending = await _conclude(attempt) if go_on else (transitions.release(), turn.CANCELLED)
        await _finish(attempt.settle(move, ending))


async def _finish(work: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """See `work` to its end, even if the process is leaving; whether it is, is the second value.

    A claim or a settlement that was cut off would cost the run an attempt, and its clients the last events.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task), False
    except asyncio.CancelledError:
        if task.cancelled():
            raise
        if (current := asyncio.current_task()) is not None:
            current.uncancel()
        return await task, True


class Attempt:
    """A run in the hands of one worker, from claim to settlement."""

    def __init__(self, deps: Deps, claimed: Row, held: Held) -> None:
        self.deps = deps
        self.run = claimed
        self.held = held
        self.clock = RunClock(claimed["claimed_at"])
        self.position: int = claimed["steps"]
        self.turn: Turn | None = None
        self.writer = EventWriter(deps.outbox, claimed["id"], claimed["term"], keep=keeping(claimed))

    @property
    def time_left(self) -> timedelta:
        """Until the run expires."""
        return self.clock.until(self.run["expires_at"])

    def begin_turn(self) -> Turn:
        """The next turn, at the next free position."""
        self.turn = Turn(self.run, self.position, self.clock, self.writer)
        return self.turn

    @property
    def usage(self) -> dict[str, int]:
        """What the run has cost up to now, the turn that is under way included."""
        before = self.run["usage"] or turn.NO_USAGE
        now = (self.turn and self.turn.answer.usage) or turn.NO_USAGE
        return {name: before[name] + now[name] for name in USAGE}

    async def settle(self, move: Transition, ending: Ending) -> None:
        """End this worker's part in the run, with all that led to it, and tell whoever listens.

        A cancel that was acknowledged meanwhile wins [RUN-6]. If the run has passed on, nothing is written or told.
        """
        self.deps.live.leave(self.held)
        try:
            row = await self._write(move, ending)
        except UNSTORABLE as error:
            log.error("run.unstorable", error=type(error).__name__)  # noqa: TRY400 # its text would quote the answer
            self.turn = None
            unstorable = transitions.fail(self.usage, "server_error", "The model's answer could not be stored.")
            row = await self._write(unstorable, ending)
        if row is None and move.cancel is Cancel.YIELDS:
            row = await self._write(transitions.acknowledge_cancel(self.usage), turn.CANCELLED)
        if row is None:
            log.info("run.passed_on")
            return
        crossing("run.settled")
        if row["status"] == RunStatus.QUEUED:
            self.deps.doorbell.ring(row["id"])
        else:
            self._announce(row)
        self.writer.flush()
        log.info("run.settled", status=row["status"], reason=row["reason"])
        crossing("run.announced")
        await _make_room(self.deps, row)

    def _announce(self, row: Row) -> None:
        """Tell how the run ended, or that it waits."""
        if row["status"] == RunStatus.CANCELLED:
            before = {**row, "status": RunStatus.IN_PROGRESS, "finished_at": None}
            self.writer.put("thread.run.cancelling", run_object(before, row["dialect"]))
        if self.turn is not None:
            self.turn.announce(row["written_at"])
        self.writer.put(f"thread.run.{row['status']}", run_object(row, row["dialect"]))
        self.writer.done()

    async def _write(self, move: Transition, ending: Ending) -> Row | None:
        if self.turn is None or move.to is RunStatus.QUEUED:  # the next worker takes this turn again from its beginning
            messages, steps = [], []
        else:
            messages, steps = self.turn.end(ending)
        statement = statements.settle(move, self.run["id"], self.run["term"], messages, steps)
        return await write.certain(self.deps.database, statement, move.to, self.held)


async def _make_room(deps: Deps, run: Row) -> None:
    """A run has ended: ring for those that could not begin because of it."""
    if run["has_next"] and (following := await commands.promote(deps.database, run["thread_id"])) is not None:
        crossing("run.promoted")
        deps.doorbell.ring(following["id"])
    if deps.settings.project_concurrency is not None:
        for queued in await deps.database.all(NEXT_OF_PROJECT, {"project_id": run["project_id"]}):
            deps.doorbell.ring(queued["id"])


async def _conclude(attempt: Attempt) -> tuple[Transition, Ending]:
    """Drive the run and name the move that ends this worker's part in it."""
    try:
        async with asyncio.timeout(attempt.time_left.total_seconds()):
            outcome = await _drive(attempt)
    except TimeoutError:
        return transitions.expire(attempt.usage), turn.EXPIRED
    except ModelError as error:
        return _failure(attempt, error.code, error.message + _before(attempt.run))
    except asyncio.CancelledError:
        return _stopped(attempt)
    except (OperationalError, InterfaceError, PoolTimeout) as error:  # Postgres is away: the settlement waits for it
        log.warning("run.database_away", error=type(error).__name__)
        return transitions.release(), turn.CANCELLED
    except Exception:
        log.exception("run.crashed")
        message = f"The server had an error while executing the run. The worker's log has it under {attempt.run['id']}."
        return _failure(attempt, "server_error", message)
    match outcome:
        case Finished():
            filtered = attempt.turn is not None and attempt.turn.answer.finish_reason == "content_filter"
            return transitions.complete(attempt.usage), turn.FILTERED if filtered else turn.FINISHED
        case NeedsClient(calls):
            return transitions.require_action(attempt.usage, calls), turn.FINISHED
        case Truncated(reason):
            ending = turn.OVERDRAWN if reason == "max_prompt_tokens" else turn.TRUNCATED
            return transitions.truncate(attempt.usage, reason), ending


def _failure(attempt: Attempt, code: str, message: str) -> tuple[Transition, Ending]:
    return transitions.fail(attempt.usage, code, message), turn.failed({"code": code, "message": message})


def _before(run: Row) -> str:
    """What a failure says of earlier attempts."""
    return f" It was attempt {run['attempts'] + 1}: workers were lost before." if run["attempts"] else ""


def _stopped(attempt: Attempt) -> tuple[Transition, Ending]:
    """The coroutine was cancelled: by the client's wish, by a lost lease, or because the process is leaving.

    Whatever the reason, one more write follows, so the cancellation ends here. After a lost lease that write finds no
    row, and if the lease was merely not renewed in time it hands the run on without waiting for the sweeper.
    """
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    if attempt.held.why is Stop.CANCEL_REQUESTED:
        return transitions.acknowledge_cancel(attempt.usage), turn.CANCELLED
    return transitions.release(), turn.CANCELLED


async def _drive(attempt: Attempt) -> Outcome:
    """Take turns until the run ends, or needs the client."""
    attempt.writer.put("thread.run.in_progress", run_object(attempt.run, attempt.run["dialect"]))
    exhausted = _exhausted(attempt)
    if exhausted is not None:
        return exhausted
    return await _take_turn(attempt)


async def _take_turn(attempt: Attempt) -> Outcome:
    """Stream one answer of the model and say what came of it."""
    run, this = attempt.run, attempt.begin_turn()
    answer = this.answer
    patience = Patience.of(run, attempt.deps.settings)
    asked = await question(attempt.deps, run, attempt.usage)
    if asked is None:
        return Truncated("max_prompt_tokens")
    async with aclosing(attempt.deps.model.stream(asked, patience)) as chunks:
        del asked  # the model may speak for minutes, and a context be megabytes
        async for chunk in chunks:
            for delta in answer.add(chunk):
                this.tell(delta)
    this.heard_all()
    crossing("answer.heard")
    if answer.finish_reason == "length":
        return Truncated("max_completion_tokens")
    if run["max_prompt_tokens"] is not None and attempt.usage["prompt_tokens"] > run["max_prompt_tokens"]:
        return Truncated("max_prompt_tokens")
    if answer.calls:
        return NeedsClient([call.plain() for call in answer.calls])
    return Finished()


def _exhausted(attempt: Attempt) -> Truncated | None:
    """Have earlier turns used up one of the run's budgets? They count over all turns."""
    run, used = attempt.run, attempt.usage
    if run["max_completion_tokens"] is not None and used["completion_tokens"] >= run["max_completion_tokens"]:
        return Truncated("max_completion_tokens")
    if run["max_prompt_tokens"] is not None and used["prompt_tokens"] >= run["max_prompt_tokens"]:
        return Truncated("max_prompt_tokens")
    return None
