"""What a client can do to runs. Whatever makes a run wait for a worker also rings for one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy.exc import IntegrityError

from shared import table
from shared.assistants import commands as assistants
from shared.database import Executor, Row, to_json
from shared.errors import InvalidRequest, NotFound, found
from shared.metrics import runs as metrics
from shared.runs import statements, transitions
from shared.runs.rows import Run, RunStep
from shared.runs.status import TERMINAL, RunStatus
from shared.threads import commands as threads
from shared.threads.statements import ACTIVE_RUN
from shared.tracing import spans
from shared.vault.contents import Opens, Secret
from shared.wire.fields import Dialect

WhenBusy = Literal["reject", "enqueue", "cancel_active"]


class Defaults(NamedTuple):
    """What the server decides about a run of which its client says nothing."""

    expires_after: timedelta
    max_attempts: int


async def create(
    db: Executor,
    project_id: str,
    run_id: str,
    thread_id: str,
    params: Mapping[str, Any],
    *,
    dialect: Dialect,
    defaults: Defaults,
    when_busy: WhenBusy = "reject",
    api_key_id: str | None = None,
) -> Row:
    """Insert a run, and the messages that come with it, on a thread; `params` are those of `wire.runs.CreateRun`. What
    it uses is counted with the key that made it, if one is named.

    On a thread with an active run [RUN-5] `when_busy` decides: `reject` raises InvalidRequest; `enqueue` lets the new
    run wait, its messages with it, in the order of creation; `cancel_active` does so too, and cancels the active run.
    Raises NotFound.
    """
    values = {
        **_creation(project_id, run_id, params, dialect, defaults),
        "thread_id": thread_id,
        "api_key_id": api_key_id,
        "enqueue": when_busy != "reject",
    }
    while True:
        try:
            row = await db.one(statements.CREATE, values)
        except IntegrityError:  # the index runs_one_active: another run got in at the same moment
            row = None
        if row is not None:
            metrics.CREATED.inc()
            return row
        await require_possible(db, project_id, thread_id, params["assistant_id"], when_busy)


async def require_possible(
    db: Executor, project_id: str, thread_id: str, assistant_id: str, when_busy: WhenBusy
) -> None:
    """Make sure that a run can be created now. Raises NotFound, or InvalidRequest on a busy thread that rejects it."""
    await threads.get(db, project_id, thread_id)
    await assistants.get(db, project_id, assistant_id)
    if when_busy != "reject":
        return
    active = await db.one(ACTIVE_RUN, {"thread_id": thread_id, "project_id": project_id})
    if active is not None:
        raise InvalidRequest(f"Thread {thread_id} already has an active run {active['id']}.")


async def make_way(db: Executor, project_id: str, thread_id: str) -> Row | None:
    """Cancel the run that the thread belongs to, if there is one; returns it. Those that wait behind it stay."""
    active = await db.one(statements.OWNER_OF_THREAD, {"thread_id": thread_id, "project_id": project_id})
    if active is None:
        return None
    try:
        return await cancel(db, project_id, thread_id, active["id"])
    except (NotFound, InvalidRequest):  # it has been deleted, or has ended, meanwhile
        return None


async def promote(db: Executor, thread_id: str) -> Row | None:
    """Let the next run of a thread begin, if one waits and the thread is free; returns its ids, to ring by."""
    try:
        return await db.one(statements.PROMOTE, {"thread_id": thread_id})
    except IntegrityError:  # a new run was quicker; the next one's end, or the sweeper, promotes
        return None


async def create_with_thread(
    db: Executor,
    project_id: str,
    run_id: str,
    params: Mapping[str, Any],
    *,
    dialect: Dialect,
    defaults: Defaults,
    api_key_id: str | None = None,
) -> Row:
    """Insert a thread, its messages and a run in one commit; `params` are those of `wire.runs.CreateThreadAndRun`.

    Raises NotFound if there is no such assistant, and then there is no thread either.
    """
    values = {**_creation(project_id, run_id, params, dialect, defaults), "api_key_id": api_key_id, "enqueue": False}
    row = await db.one(statements.CREATE_WITH_THREAD, values)
    if row is None:
        await assistants.get(db, project_id, params["assistant_id"])
        raise NotFound("assistant", params["assistant_id"])  # it was missing a moment ago: an import has brought it
    metrics.CREATED.inc()
    return row


async def get(db: Executor, project_id: str, thread_id: str, run_id: str) -> Row:
    """The run. Raises NotFound."""
    return found(await table.get(db, Run, _run(project_id, thread_id, run_id)), "run", run_id)


async def modify(db: Executor, project_id: str, thread_id: str, run_id: str, columns: Mapping[str, Any]) -> Row:
    """Change the run's metadata. Raises NotFound."""
    return found(await table.modify(db, Run, _run(project_id, thread_id, run_id), columns), "run", run_id)


async def get_step(db: Executor, project_id: str, thread_id: str, run_id: str, step_id: str) -> Row:
    """One step of the run. Raises NotFound."""
    return found(
        await table.get(db, RunStep, {**_run(project_id, thread_id, run_id), "id": step_id, "run_id": run_id}),
        "run step",
        step_id,
    )


async def cancel(db: Executor, project_id: str, thread_id: str, run_id: str) -> Row:
    """Cancel the run: at once if no worker holds it, else by a request that its worker obeys [RUN-6].

    Returns the run as it is now: `cancelled`, or `in_progress` with `cancel_requested_at` set. Cancelling twice is
    harmless until the run has ended. Raises NotFound, or InvalidRequest if it has.
    """
    while True:
        run = await get(db, project_id, thread_id, run_id)
        status = RunStatus(run["status"])
        if status in TERMINAL:
            raise InvalidRequest(f"Cannot cancel run with status '{status}'.")
        if status is RunStatus.IN_PROGRESS:
            done = await db.one(statements.REQUEST_CANCEL, {"id": run_id, "project_id": project_id})
        else:
            move = statements.cancel(transitions.cancel_waiting(), run_id, project_id)
            done = await db.one(move.sql, move.params)
        if done is not None:  # otherwise it moved between the look and the leap
            if done["status"] == RunStatus.CANCELLED:
                metrics.moved(done)
            return done


async def submit_tool_outputs(
    db: Executor, project_id: str, thread_id: str, run_id: str, outputs: Mapping[str, str]
) -> tuple[Row, dict[str, Any]]:
    """Give the run the outputs that it waits for: the waiting step is completed and the run is queued, in one commit.

    Returns the run, with `written_at`, and the completed step's columns. Raises NotFound, or InvalidRequest if the run
    waits for nothing or for other outputs.
    """
    run = await get(db, project_id, thread_id, run_id)
    if run["status"] == RunStatus.REQUIRES_ACTION:
        expected = [call["id"] for call in run["required_action"]["tool_calls"]]
        if set(expected) != set(outputs):
            raise InvalidRequest(
                f"Expected tool outputs for call_ids {expected}, got {list(outputs)}", param="tool_outputs"
            )
        step = await table.get(db, RunStep, {"run_id": run_id, "project_id": project_id, "status": "in_progress"})
        if step is not None:
            details = _with_outputs(step["details"], outputs)
            move = statements.submit(transitions.resume(), run_id, project_id, run["term"], details)
            moved = await db.one(move.sql, move.params)
            if moved is not None:
                return moved, {**step, "status": "completed", "details": details, "ended_at": moved["written_at"]}
        run = await get(db, project_id, thread_id, run_id)
    status = run["status"]
    if status == RunStatus.REQUIRES_ACTION:  # but the statement refused: its time is up, or it is being cancelled
        status = RunStatus.EXPIRED if run["expires_at"] <= datetime.now(UTC) else "cancelling"
    raise InvalidRequest(f'Runs in status "{status}" do not accept tool outputs.')


def _with_outputs(details: Mapping[str, Any], outputs: Mapping[str, str]) -> dict[str, Any]:
    calls = [
        {**call, "function": {**call["function"], "output": outputs[call["id"]]}} if call["id"] in outputs else call
        for call in details["tool_calls"]
    ]
    return {**details, "tool_calls": calls}


def _creation(
    project_id: str, run_id: str, params: Mapping[str, Any], dialect: Dialect, defaults: Defaults
) -> dict[str, Any]:
    words = {name: params[name] for name in ("tool_choice", "response_format") if isinstance(params[name], str)}
    json_words = {name: to_json(word) for name, word in words.items()}
    return {
        **threads.encoded(params),
        **json_words,
        "instructions": Secret("instructions", params["instructions"]),
        "additional": Secret("instructions", params["additional"]),
        "opens": Opens(),
        "project_id": project_id,
        "run_id": run_id,
        "dialect": dialect,
        "expires_after": defaults.expires_after if params["expires_after"] is None else params["expires_after"],
        "traceparent": spans.traceparent(),
        "max_attempts": defaults.max_attempts if params["max_attempts"] is None else params["max_attempts"],
    }


def _run(project_id: str, thread_id: str, run_id: str) -> dict[str, str]:
    return {"id": run_id, "thread_id": thread_id, "project_id": project_id}
