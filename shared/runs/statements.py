"""The SQL of runs: the only place where a status is written.

Each statement is one round trip and one commit; where several tables change together it is a data-changing CTE. All of
them are guarded: no row returned means that somebody else was faster, which is an answer and not an error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text

from shared.database import to_json
from shared.runs.records import CLOSE_STEPS, Records, Telling
from shared.runs.status import (
    ACTIVE,
    LOCKS_THREAD,
    TERMINAL,
    WAITS_FOR_THREAD,
    WAITS_FOR_WORKER,
    RunStatus,
    StepStatus,
    in_sql,
)
from shared.runs.transitions import Cancel, Holder, Now, OutOfAttempts, Reason, Transition
from shared.threads.statements import INSERT_THREAD, begin_activity, insert_messages, touch
from shared.tracing.sql import named
from shared.usage.facts import plain
from shared.vault.contents import MARK, UNSEALED, Json, Secret, secret

# The run copies the assistant: null or absent means the assistant's value, while 0, "" and [] are values. The thread's
# lock is the unique index runs_one_active; looking first only keeps its violation out of the server's log.
_INSERT_RUN = """
INSERT INTO runs (id, project_id, thread_id, assistant_id, api_key_id, dialect, rung_at, expires_at, events_kept_s,
  waiting, messages_to_come, max_attempts, model_retry, traceparent,
  model, instructions, tools, tool_choice, parallel_tool_calls, temperature, top_p, reasoning_effort, response_format,
  truncation_strategy, max_prompt_tokens, max_completion_tokens, include_contents, file_ids, metadata)
SELECT :run_id, thread.project_id, thread.id, assistant.id, :api_key_id, :dialect, now(), now() + :expires_after,
  (SELECT events_kept_s FROM projects WHERE id = thread.project_id), thread.busy,
  CASE WHEN thread.busy THEN CAST(:messages AS jsonb) ELSE '[]' END,
  :max_attempts, CAST(:model_retry AS jsonb), :traceparent,
  coalesce(:model, assistant.model),
  concat_ws(E'\\n', nullif(coalesce(CAST(:instructions AS text), assistant.instructions), ''),
    nullif(CAST(:additional AS text), '')),
  coalesce(CAST(:tools AS jsonb), assistant.tools), CAST(:tool_choice AS jsonb), :parallel_tool_calls,
  coalesce(:temperature, assistant.temperature), coalesce(:top_p, assistant.top_p),
  coalesce(:reasoning_effort, assistant.reasoning_effort),
  coalesce(CAST(:response_format AS jsonb), assistant.response_format), CAST(:truncation_strategy AS jsonb),
  :max_prompt_tokens, :max_completion_tokens, :include_contents, assistant.file_ids, CAST(:metadata AS jsonb)
FROM thread, assistant
WHERE :enqueue OR NOT thread.busy
RETURNING *"""

# A process without keys begins no run of what it can't open: it could not answer, and would be asked again.
_ASSISTANT = f"""
SELECT * FROM assistants WHERE id = :assistant_id AND project_id = :project_id AND (CAST(:opens AS boolean)
  OR coalesce(starts_with(instructions, '{UNSEALED}') OR NOT starts_with(instructions, '{MARK}'), true))"""

CREATE = text(f"""
WITH assistant AS ({_ASSISTANT}),
  thread AS (
    SELECT id, project_id, EXISTS (SELECT FROM runs WHERE thread_id = :thread_id AND status IN {in_sql(ACTIVE)}) AS busy
    FROM threads WHERE id = :thread_id AND project_id = :project_id AND deleted_at IS NULL),
  run AS ({_INSERT_RUN}),
  beginning AS (SELECT * FROM run WHERE NOT waiting),
  added AS ({insert_messages("beginning", "thread_id")}),
  active AS ({touch("run")})
SELECT * FROM run""")

CREATE_WITH_THREAD = text(f"""
WITH assistant AS ({_ASSISTANT}),
  made AS ({INSERT_THREAD.format(project_id="assistant.project_id", source="FROM assistant")}),
  begun AS ({begin_activity("made")}),
  thread AS (SELECT id, project_id, false AS busy FROM made),
  run AS ({_INSERT_RUN}),
  added AS ({insert_messages("run", "thread_id")})
SELECT * FROM run""")

# One statement claims the run and reads what the model is to be told: the newest messages and the finished tool calls
# of the thread, oldest first, and where the run's steps have got to.
_CONTEXT = """
SELECT jsonb_agg(item ORDER BY created_at, id) AS context FROM (
  SELECT *, sum(size) OVER (ORDER BY created_at DESC, id DESC) - size AS before FROM (
    (SELECT created_at, id, pg_column_size(content) AS size,
       jsonb_build_object('type', 'message', 'run_id', run_id, 'role', role, 'content', content) AS item
     FROM messages WHERE thread_id = {thread_id} ORDER BY created_at DESC, id DESC LIMIT :context_items)
    UNION ALL
    (SELECT created_at, id, pg_column_size(details) AS size,
       jsonb_build_object('type', 'tool_calls', 'run_id', run_id, 'details', details) AS item
     FROM run_steps WHERE thread_id = {thread_id} AND type = 'tool_calls' AND status = 'completed'
     ORDER BY created_at DESC LIMIT :context_items)
  ) AS newest
) AS sized WHERE before < :context_bytes"""

_SUBMIT = """
  submitted AS (
    UPDATE run_steps SET status = 'completed', ended_at = now(), details = CAST(:details AS jsonb) FROM moved
    WHERE run_steps.run_id = moved.id AND run_steps.status = 'in_progress')"""

_NEXT = f"EXISTS (SELECT FROM runs WHERE thread_id = moved.thread_id AND {WAITS_FOR_THREAD}) AS has_next"

REQUEST_CANCEL = text("""
UPDATE runs SET cancel_requested_at = coalesce(cancel_requested_at, now())
WHERE id = :id AND project_id = :project_id AND status = 'in_progress' RETURNING *""")

# A row that somebody has locked, be it a client whose transaction hangs, holds up the renewal of no other: it is still
# ours, and renewed the next time.
RENEW = text("""
WITH ours AS (
  SELECT id, cancel_requested_at IS NOT NULL AS cancel_requested FROM runs
  WHERE status = 'in_progress'
  AND (id, term) IN (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:terms AS int[])))),
free AS (
  SELECT id FROM runs WHERE status = 'in_progress'
  AND (id, term) IN (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:terms AS int[])))
  ORDER BY id FOR NO KEY UPDATE SKIP LOCKED),
renewed AS (UPDATE runs SET lease_expires_at = now() + :lease WHERE id IN (SELECT id FROM free) RETURNING id)
SELECT ours.id, cancel_requested, renewed.id IS NOT NULL AS renewed FROM ours LEFT JOIN renewed USING (id)""")

AS_WRITTEN = text(f"""
SELECT moved.*, now() AS written_at, {_NEXT} FROM runs AS moved
WHERE id = :id AND term = :term AND status = :status""")

OWNER_OF_THREAD = text(f"""
SELECT id FROM runs WHERE thread_id = :thread_id AND project_id = :project_id AND {LOCKS_THREAD}""")

BY_IDS = text("SELECT * FROM runs WHERE id = ANY(:ids)")

# How many runs of a project may be held at once: its own limit, else everybody's; null where there is neither. Those
# beyond it wait, and none is refused.
_AT_ONCE = "coalesce((SELECT max_concurrent_runs FROM projects WHERE id = {project_id}), CAST(:at_once AS bigint))"

_WITHIN_LIMIT = f"""coalesce((
SELECT count(*) FROM runs AS others WHERE others.project_id = runs.project_id AND others.status = 'in_progress')
< {_AT_ONCE.format(project_id=":project_id")}, true)"""

# Doorbells are lost with Redis: whoever is still queued after a while is rung for again.
RING_AGAIN = text(f"""
WITH full_up AS (
  SELECT project_id FROM runs WHERE status = 'in_progress' GROUP BY project_id
  HAVING count(*) >= {_AT_ONCE.format(project_id="runs.project_id")})
UPDATE runs SET rung_at = now() WHERE id IN (
  SELECT id FROM runs WHERE {WAITS_FOR_WORKER} AND (rung_at IS NULL OR rung_at < now() - :patience)
  AND project_id NOT IN (SELECT project_id FROM full_up)
  ORDER BY rung_at NULLS FIRST
  LIMIT least(:at_most, greatest(0, (SELECT count(*) FROM runs WHERE {WAITS_FOR_WORKER}) - :unanswered))
  FOR UPDATE SKIP LOCKED)
RETURNING id, thread_id, project_id""")


# The next run of a thread, if the thread is free: it may be claimed from now on, and its messages enter the thread. If
# somebody has locked it, none: those behind it wait on, and the sweeper promotes. It is rung for by what is returned,
# whether its content can be opened or not.
PROMOTE = text(f"""
WITH next AS (
  UPDATE runs SET waiting = false, rung_at = now() WHERE id = (
    SELECT id FROM runs WHERE {WAITS_FOR_THREAD} AND id = (
      SELECT id FROM runs WHERE thread_id = :thread_id AND {WAITS_FOR_THREAD} ORDER BY created_at, id LIMIT 1)
    FOR UPDATE SKIP LOCKED)
  AND NOT EXISTS (SELECT FROM runs WHERE thread_id = :thread_id AND {LOCKS_THREAD}) RETURNING *),
  added AS ({insert_messages("next", "thread_id", "next.messages_to_come")} RETURNING thread_id, created_at),
  active AS ({touch("added")})
SELECT id, thread_id, project_id FROM next""")

FREE_THREADS = text(f"""
SELECT DISTINCT thread_id FROM runs AS behind WHERE {WAITS_FOR_THREAD}
AND NOT EXISTS (SELECT FROM runs WHERE thread_id = behind.thread_id AND {LOCKS_THREAD}) LIMIT :at_most""")

NEXT_OF_PROJECT = text(f"""
SELECT id, thread_id, project_id FROM runs
WHERE project_id = :project_id AND {WAITS_FOR_WORKER} ORDER BY created_at, id LIMIT 1""")

# A run that may lose no more workers may be what kills them: a worker takes it only where there is room.
_WITH_ROOM = "(CAST(:room AS boolean) OR attempts = 0 OR attempts + 1 < max_attempts)"

# Projects with queued runs (found by leaping from one to the next in the index), with their oldest runs and how many
# they hold. A few rows a project are looked at, however many are queued.
_CANDIDATES = f"""
WITH RECURSIVE tenants AS (
  (SELECT project_id FROM runs WHERE {WAITS_FOR_WORKER} ORDER BY project_id LIMIT 1)
  UNION ALL
  SELECT (SELECT project_id FROM runs WHERE {WAITS_FOR_WORKER} AND project_id > tenants.project_id
          ORDER BY project_id LIMIT 1)
  FROM tenants WHERE tenants.project_id IS NOT NULL),
candidates AS (
  SELECT oldest.*, (SELECT count(*) FROM runs WHERE project_id = tenants.project_id AND status = 'in_progress') AS held
  FROM tenants, LATERAL (
    SELECT id, project_id, created_at FROM runs WHERE project_id = tenants.project_id AND {WAITS_FOR_WORKER}
    AND cancel_requested_at IS NULL AND expires_at > now() AND {_WITH_ROOM} ORDER BY created_at, id LIMIT {{each}}
  ) AS oldest)"""

# Whose turn it is: the project that holds the fewest, and its oldest run that nobody else is taking at this moment, nor
# has taken since this statement began: the condition is looked at again when the row is locked.
_FAIREST = f"""(
{_CANDIDATES.format(each=16)}
SELECT runs.id FROM candidates JOIN runs USING (id) WHERE {WAITS_FOR_WORKER}
ORDER BY held, candidates.created_at LIMIT 1 FOR UPDATE OF runs SKIP LOCKED)"""

# The same where projects have a limit. Claims within such a project are then made one after the other, each in a
# transaction that begins with this lock: two that counted at the same time would both find the last place free.
TURN = text(f"""
{_CANDIDATES.format(each=1)}
SELECT project_id, CASE WHEN at_once IS NOT NULL THEN pg_advisory_xact_lock(hashtextextended(project_id, 0)) END FROM (
  SELECT * FROM (SELECT *, {_AT_ONCE.format(project_id="candidates.project_id")} AS at_once FROM candidates) AS limited
  WHERE at_once IS NULL OR held < at_once ORDER BY held, created_at LIMIT 1) AS next""")

_OLDEST_WITHIN_LIMIT = f"""(
SELECT id FROM runs WHERE project_id = :project_id AND {WAITS_FOR_WORKER} AND cancel_requested_at IS NULL
AND expires_at > now() AND {_WITH_ROOM} AND {_WITHIN_LIMIT} ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and its parameters, ready for `Database.one` or `.all`."""

    sql: TextClause
    params: Mapping[str, Any]


class ContextLimits(NamedTuple):
    """How much of a thread a claim reads: newest messages and newest tool calls, and the bytes they are stored in."""

    items: int
    bytes: int


def claim(move: Transition, run_id: str, context: ContextLimits, *, room: bool) -> Statement:
    """Carry out `transitions.claim` on this run. Returns it with `claimed_at`, `context`, `steps` (how many it has),
    `tokens_a_minute` (its project's limit for its model) and `unfinished` (the step in progress, as JSON), as they were
    in the term `seen`: the one before, unless others took the run and gave it back while this waited.

    `room` says whether it may be one on its last attempt.
    """
    return _claim_of(move, f"id = :id AND {_WITH_ROOM}", context, {"id": run_id, "room": room})


def claim_fairly(move: Transition, context: ContextLimits, *, room: bool) -> Statement:
    """The same on the run whose turn it is, by project. None comes also where others have hold of every candidate."""
    return _claim_of(move, f"id = {_FAIREST}", context, {"room": room})


def claim_within(
    move: Transition, project_id: str, at_once: int | None, context: ContextLimits, *, room: bool
) -> Statement:
    """The same on the project's oldest run, if it holds fewer than its limit, or without one than `at_once`; to be
    preceded by `TURN`.
    """
    params = {"project_id": project_id, "at_once": at_once, "room": room}
    return _claim_of(move, f"id = {_OLDEST_WITHIN_LIMIT}", context, params)


def _claim_of(move: Transition, which: str, context: ContextLimits, params: Mapping[str, Any]) -> Statement:
    limits = {"context_items": context.items, "context_bytes": context.bytes}
    return Statement(_claim(_shape(move), which), {**_values(move), **limits, **params})


def settle(move: Transition, run_id: str, term: int, records: Records) -> Statement:
    """Carry out a worker's move and record, in the same commit, what led to it. A final one leaves no step in progress.

    Returns the run with `written_at`, the instant that everything written here bears.
    """
    if records.total is not None:
        move = replace(move, values={**move.values, "used": list(records.total)})
    messages = Json([secret(message, "content") for message in records.messages])
    steps, answered = (
        Json([secret(step, "details") for step in of_kind]) for of_kind in (records.steps, records.answered)
    )
    rows = {"messages": messages, "steps": steps, "answered": answered}
    told = {"used": to_json(plain(records.used)), **(records.doubtful or Telling(-1))._asdict()}
    params = {**_values(move), **rows, **told, **_ending(move), "id": run_id, "term": term}
    parts = tuple(records.parts(final=move.final, stays=move.to is RunStatus.IN_PROGRESS))
    return Statement(_settle(_shape(move), parts), params)


def read_context(thread_id: str, limits: ContextLimits) -> Statement:
    """The `context` of a thread as a claim returns it, for a turn that follows calls of tools."""
    params = {"thread_id": thread_id, "context_items": limits.items, "context_bytes": limits.bytes}
    return Statement(_READ_CONTEXT, params)


_READ_CONTEXT = text(_CONTEXT.format(thread_id=":thread_id"))


def submit(move: Transition, run_id: str, project_id: str, term: int, details: Mapping[str, Any]) -> Statement:
    """Carry out `transitions.resume` and finish the step that waited; `term` is that in which its calls were read."""
    params = {"id": run_id, "project_id": project_id, "term": term, "details": Json(Secret("details", details))}
    return Statement(_submit(_shape(move)), {**_values(move), **params})


def cancel(move: Transition, run_id: str, project_id: str) -> Statement:
    """Carry out `transitions.cancel_waiting`; its unfinished step ends with it."""
    params = {"id": run_id, "project_id": project_id, "step_status": StepStatus.CANCELLED}
    return Statement(_cancel(_shape(move)), {**_values(move), **params})


def sweep(move: Transition, due: str, params: Mapping[str, Any]) -> Statement:
    """Carry out a move on every run that is `due` (a condition in SQL), leaving alone those that somebody else has hold
    of; their unfinished steps end with them. Returns the moved runs.
    """
    return Statement(_sweep(_shape(move), due, move.final), {**_values(move), **params, **_ending(move)})


_STEP_ENDS = {
    RunStatus.COMPLETED: StepStatus.COMPLETED,
    RunStatus.INCOMPLETE: StepStatus.CANCELLED,
    RunStatus.CANCELLED: StepStatus.CANCELLED,
    RunStatus.EXPIRED: StepStatus.EXPIRED,
    RunStatus.FAILED: StepStatus.FAILED,
}


def _ending(move: Transition) -> dict[str, Any]:
    """What becomes of a step in progress when its run ends."""
    return {"step_status": _STEP_ENDS[move.to]} if move.final else {}


class _Shape(NamedTuple):
    """What of a transition decides the text of its statement: everything but the values."""

    move: tuple[Reason, RunStatus, frozenset[RunStatus], Holder, Cancel]
    columns: tuple[tuple[str, str], ...]


def _shape(move: Transition) -> _Shape:
    columns = tuple((name, _expression(name, value)) for name, value in move.values.items())
    return _Shape((move.reason, move.to, move.sources, move.holder, move.cancel), columns)


def _expression(column: str, value: Any) -> str:
    match value:
        case Now.INSTANT:
            return "now()"
        case Now.ONE_MORE:
            return f"{column} + 1"
        case timedelta():
            return f"now() + :set_{column}"
        case dict() | list():
            return f"CAST(:set_{column} AS jsonb)"
        case OutOfAttempts():
            said = f"replace(:set_{column}, '{OutOfAttempts.COUNT}', CAST(attempts + 1 AS text))"
            return f"jsonb_build_object('code', 'server_error', 'message', {said})"
        case _:
            return f":set_{column}"


def _values(move: Transition) -> dict[str, Any]:
    def parameter(name: str, value: Any) -> Any:
        if isinstance(value, OutOfAttempts):
            return value.message
        if name == "required_action":
            return Json(Secret("required_action", value))
        return to_json(value) if isinstance(value, dict | list) else value

    changed = {name: value for name, value in move.values.items() if not isinstance(value, Now)}
    values = {f"set_{name}": parameter(name, value) for name, value in changed.items()}
    return {**values, "worker": move.values.get("lease_owner")}


def _update(shape: _Shape, which: str) -> str:
    """The guarded UPDATE: it sets what the new status implies and what the move names, where the move is legal."""
    sets, guards = ", ".join(_sets(shape)), " AND ".join(_guards(shape))
    return f"UPDATE runs SET {sets} WHERE {which.format(guards=guards)} RETURNING *"


def _sets(shape: _Shape) -> Iterator[str]:
    reason, to, _, holder, _ = shape.move
    yield f"status = '{to}'"
    yield f"reason = '{reason}'"
    if reason is not Reason.RECORDED:
        yield _HISTORY.format(reason=reason, next=0 if holder is Holder.WORKER else 1)
    if holder is not Holder.WORKER:
        yield "term = term + 1"
    if holder is Holder.CLAIMANT:
        yield "started_at = coalesce(started_at, now())"
    if to in TERMINAL:
        yield "finished_at = now()"
    if to is not RunStatus.IN_PROGRESS:
        yield "lease_owner = NULL"
        yield "lease_expires_at = NULL"
    if to is not RunStatus.REQUIRES_ACTION:
        yield "required_action = NULL"
    for column, expression in shape.columns:
        yield f"{column} = {expression}"


# The worker of a move is the one that holds the run before it; a claim names the one that holds it from now on.
_HISTORY = """history = history || jsonb_build_array(jsonb_build_object(
  'at', now(), 'reason', '{reason}', 'term', term + {next}, 'worker', coalesce(lease_owner, CAST(:worker AS text))))"""

_HOLDS = {
    Holder.WORKER: "term = :term",
    Holder.CLAIMANT: "NOT waiting AND expires_at > now()",
    Holder.ANYONE: "(lease_expires_at IS NULL OR lease_expires_at < now())",
}
_CANCELS = {Cancel.YIELDS: "cancel_requested_at IS NULL", Cancel.NEEDED: "cancel_requested_at IS NOT NULL"}


def _guards(shape: _Shape) -> Iterator[str]:
    _, _, sources, holder, cancel = shape.move
    yield f"status IN {in_sql(sources)}"
    yield _HOLDS[holder]
    if cancel in _CANCELS:
        yield _CANCELS[cancel]


@cache
def _claim(shape: _Shape, which: str) -> TextClause:
    return named(
        "runs.claim",
        f"""
WITH claimed AS ({_update(shape, f"{which} AND {{guards}}")})
SELECT claimed.*, now() AS claimed_at, ({_CONTEXT.format(thread_id="claimed.thread_id")}) AS context,
  (SELECT term FROM runs WHERE id = claimed.id) AS seen, done.steps, done.unfinished,
  (SELECT max_tokens FROM rate_limits WHERE project_id = claimed.project_id AND model = claimed.model)
    AS tokens_a_minute
FROM claimed, LATERAL (
  SELECT count(*) AS steps, jsonb_agg(to_jsonb(step)) FILTER (WHERE status = 'in_progress') -> 0 AS unfinished
  FROM run_steps AS step WHERE run_id = claimed.id) AS done""",
    )


@cache
def _settle(shape: _Shape, parts: tuple[str, ...]) -> TextClause:
    together = ",".join([f"moved AS ({_update(shape, 'id = :id AND {guards}')})", *parts])
    name = f"runs.settle {shape.move[0]}"
    return named(name, f"WITH {together} SELECT moved.*, now() AS written_at, {_NEXT} FROM moved")


@cache
def _submit(shape: _Shape) -> TextClause:
    which = "id = :id AND project_id = :project_id AND term = :term AND expires_at > now() AND {guards}"
    return named(
        "runs.submit",
        f"WITH moved AS ({_update(shape, which)}), {_SUBMIT} SELECT moved.*, now() AS written_at FROM moved",
    )


@cache
def _cancel(shape: _Shape) -> TextClause:
    which = "id = :id AND project_id = :project_id AND {guards}"
    closed = CLOSE_STEPS.format(besides="")
    return named("runs.cancel", f"WITH moved AS ({_update(shape, which)}), {closed} SELECT moved.*, {_NEXT} FROM moved")


@cache
def _sweep(shape: _Shape, due: str, final: bool) -> TextClause:  # noqa: FBT001
    which = f"id IN (SELECT id FROM runs WHERE {due} AND {{guards}} LIMIT :at_most FOR UPDATE SKIP LOCKED)"
    closed = f", {CLOSE_STEPS.format(besides='')}" if final else ""
    name = f"runs.sweep {shape.move[0]}"
    return named(name, f"WITH moved AS ({_update(shape, which)}){closed} SELECT moved.*, {_NEXT} FROM moved")
