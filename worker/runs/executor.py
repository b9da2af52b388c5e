"""Executing a run: claim it, drive it turn by turn, settle it. The page to read first.

A crash anywhere leaves the run in progress under a lease that nobody renews; the sweeper queues it again and the next
worker goes on after the last recorded step, which it finds in the context that it claims [RUN-2].
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.crashpoints import crossing
from shared.database import Row
from shared.files.sealed import BlobDamaged
from shared.files.storage import StoreUnavailable
from shared.metrics import model as metrics
from shared.metrics import worker as of_worker
from shared.runs import transitions
from shared.runs.transitions import Transition
from shared.tracing import genai
from shared.tracing.spans import past
from shared.vault.contents import ContentLost
from shared.wire.runs import run_object
from worker.deps import Deps
from worker.models.client import Patience
from worker.models.errors import ModelError
from worker.runs import turn
from worker.runs.allowance import spend, wait_for_tokens
from worker.runs.attempt import Attempt, PassedOn
from worker.runs.claim import claim, is_stale
from worker.runs.live import Stop
from worker.runs.outcome import CallsTools, End, Failed, Finished, NeedsClient, Outcome, Truncated
from worker.runs.question import question
from worker.runs.turn import Ending
from worker.tools import calls

log = structlog.get_logger(__name__)

T = TypeVar("T")

TURNS = 100
"""After so many in a row that called nothing but our own tools the model has to answer: some would search for ever."""


async def execute(run_id: str, deps: Deps, show: Callable[[Row], object] | None = None) -> Row | None:
    """Answer one ring of the doorbell. A run that somebody else has, or that is over, is left alone; with a backlog the
    slot goes to whose turn it is, and `show` is told of that run.

    Returns the run as this worker left it, or None if it took none, or one that nobody can open, or it passed on to
    others.
    """
    began_ns = time.time_ns()
    claimed, leaving = await _finish(claim(run_id, deps))
    if claimed is None:
        return None
    crossing("run.claimed")
    run = claimed.run
    deps = deps.within(run["project_id"])
    if show is not None and run["id"] != run_id:
        show(run)
    of_worker.claimed(run)
    words = {"run_id": run["id"], "thread_id": run["thread_id"], "project_id": run["project_id"]}
    structlog.contextvars.bind_contextvars(**words, term=run["term"])
    with genai.attempt(run, began_ns) as span, deps.live.holding(run["id"], run["term"], claimed.sent) as held:
        past("claim", began_ns)
        attempt = Attempt(deps, run, held, claimed.sealed_with)
        give_back = leaving or is_stale(run)
        move, ending = (transitions.release(), turn.CANCELLED) if give_back else await _conclude(attempt)
        settled, _ = await _finish(attempt.settle(move, ending))
        genai.settled(span, settled)
    return settled


async def _finish(work: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """See `work` to its end, even if it is to stop; whether it is, is the second value.

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


async def _finish_or_stop(work: Coroutine[Any, Any, None]) -> None:
    """The same where more would follow: if the run is to stop, it doesn't."""
    _, leaving = await _finish(work)
    if leaving:
        raise asyncio.CancelledError


async def _conclude(attempt: Attempt) -> tuple[Transition, Ending]:
    """Drive the run and name the move that ends this worker's part in it."""
    try:
        async with asyncio.timeout(attempt.time_left.total_seconds()):
            return _move(attempt, await _drive(attempt))
    except TimeoutError:
        return transitions.expire(attempt.usage), turn.EXPIRED
    except Failed as error:
        return _failure(attempt, error.code, error.message)
    except ModelError as error:
        metrics.FAILURES.labels(error.code).inc()
        return _failure(attempt, error.code, error.message + _before(attempt.run))
    except asyncio.CancelledError:
        return _stopped(attempt)
    except (OperationalError, InterfaceError, PoolTimeout, PassedOn) as error:
        # Postgres is away, and the settlement waits for it; or others have the run, and the settlement finds no row.
        log.warning("run.interrupted", error=type(error).__name__)
        return transitions.release(), turn.CANCELLED
    except (ContentLost, BlobDamaged) as error:
        log.error("run.content_lost", reason=str(error))  # noqa: TRY400 # the reason says it
        return _failure(attempt, "server_error", ContentLost.TOLD)
    except StoreUnavailable:
        message = "The server's file storage does not work. Please try again."
        return _failure(attempt, "server_error", message)
    except Exception:
        log.exception("run.crashed")
        message = f"The server had an error while executing the run. The worker's log has it under {attempt.run['id']}."
        return _failure(attempt, "server_error", message)


def _move(attempt: Attempt, end: End) -> tuple[Transition, Ending]:
    match end:
        case Finished():
            filtered = attempt.turn is not None and attempt.turn.answer.finish_reason == "content_filter"
            return transitions.complete(attempt.usage), turn.FILTERED if filtered else turn.FINISHED
        case NeedsClient(calls):
            metrics.TOOL_CALLS.labels("function", "handed_over").inc(len(calls))
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


async def _drive(attempt: Attempt) -> End:
    """Take turns, and carry out the calls of our own tools between them, until the run ends or needs the client."""
    attempt.writer.put("thread.run.in_progress", run_object(attempt.run, attempt.run["dialect"]))
    attempt.tell_again()
    while True:
        if attempt.unfinished is not None and (needed := await _call_tools(attempt)) is not None:
            return needed
        exhausted = _exhausted(attempt)
        if exhausted is not None:
            return exhausted
        attempt.deps.quota.require(attempt.run["project_id"])
        outcome = await _take_turn(attempt)
        if not isinstance(outcome, CallsTools):
            return outcome
        await _finish_or_stop(attempt.record_turn())


async def _call_tools(attempt: Attempt) -> NeedsClient | None:
    """Carry out what is left of the step in progress. If functions of the client are among its calls, those remain."""
    if attempt.unfinished is None:
        return None
    made = attempt.unfinished["details"]["tool_calls"]
    told = attempt.tell_call, attempt.tell_again
    await calls.carry_out(attempt.deps, attempt.run, attempt.unfinished["id"], made, *told, attempt.bill)
    if functions := calls.of_client(made):
        return NeedsClient(functions)
    await _finish_or_stop(attempt.record_outputs())
    return None


async def _take_turn(attempt: Attempt) -> Outcome:
    """Stream one answer of the model and say what came of it."""
    run = attempt.run
    patience = Patience.of(run, attempt.deps.settings)
    await wait_for_tokens(attempt.deps.windows, run)
    last = attempt.turns >= TURNS
    asked = await question(attempt.deps, run, await attempt.take_context(), attempt.usage, last=last)
    if asked is None:
        return Truncated("max_prompt_tokens")
    model, began = asked.request["model"], time.monotonic()
    this = attempt.begin_turn(asked.sources, model)
    answer = this.answer
    with genai.chat(run, asked.request) as span:
        async with aclosing(attempt.deps.model.stream(asked.request, patience)) as chunks:
            del asked
            async for chunk in chunks:
                for delta in answer.add(chunk):
                    this.tell(delta)
        genai.answered(span, answer.text, answer.calls, answer.finish_reason, answer.usage)
    this.heard_all()
    metrics.answered(model, time.monotonic() - began, answer.usage)
    await spend(attempt.deps.windows, run, answer.usage)
    crossing("answer.heard")
    if answer.finish_reason == "length":
        return Truncated("max_completion_tokens")
    if run["max_prompt_tokens"] is not None and attempt.usage["prompt_tokens"] > run["max_prompt_tokens"]:
        return Truncated("max_prompt_tokens")
    if this.calls_ours:
        return CallsTools()
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
