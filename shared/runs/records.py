"""What a worker did since its last write, and the SQL that writes it: parts of the statement that moves its run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from shared.threads.statements import touch
from shared.usage.facts import Used, insert

# What a worker did since its last write enters with the write that moves the run, or not at all. Ids follow from the
# run and the position, so that a statement that is sent again after a broken connection adds nothing. Each part stands
# in a statement only where there is something for it to write: one that writes nothing costs a tenth of the whole.
_MESSAGES = f"""
  said AS (
    INSERT INTO messages (id, project_id, thread_id, created_at, role, content, assistant_id, run_id, status,
      incomplete_reason, ended_at)
    SELECT new.id, moved.project_id, moved.thread_id, new.created_at, 'assistant', new.content, moved.assistant_id,
      moved.id, new.status, new.incomplete_reason, coalesce(new.ended_at, now())
    FROM moved, jsonb_to_recordset(CAST(:messages AS jsonb))
      AS new(id text, created_at timestamptz, ended_at timestamptz, content jsonb, status text, incomplete_reason text)
    ON CONFLICT (id) DO NOTHING RETURNING thread_id, created_at),
  active AS ({touch("said")})"""

_STEPS = """
  done AS (
    INSERT INTO run_steps (id, project_id, thread_id, run_id, assistant_id, position, term, created_at, expires_at,
      ended_at, type, status, details, usage, last_error)
    SELECT new.id, moved.project_id, moved.thread_id, moved.id, moved.assistant_id, new.position, moved.term,
      new.created_at, moved.expires_at,
      CASE WHEN new.status <> 'in_progress' THEN coalesce(new.ended_at, now()) END, new.type, new.status,
      new.details, new.usage, new.last_error
    FROM moved, jsonb_to_recordset(CAST(:steps AS jsonb))
      AS new(id text, position int, created_at timestamptz, ended_at timestamptz, type text, status text, details jsonb,
        usage jsonb, last_error jsonb)
    ON CONFLICT (id) DO NOTHING RETURNING id)"""

_ANSWERED = """
  answered AS (
    UPDATE run_steps SET status = new.status, details = new.details, last_error = new.last_error,
      ended_at = CASE WHEN new.status <> 'in_progress' THEN now() END
    FROM moved, jsonb_to_recordset(CAST(:answered AS jsonb))
      AS new(id text, status text, details jsonb, last_error jsonb)
    WHERE run_steps.id = new.id AND run_steps.run_id = moved.id AND run_steps.status = 'in_progress'
    RETURNING run_steps.id)"""

# What was used. A move that leaves the run where it is may be sent twice: then its steps say whether it had been
# written, and so does a step that an earlier statement, whose answer was cut off, may have written (`doubtful`).
_DONE, _WAS_ANSWERED = "EXISTS (SELECT FROM done)", "EXISTS (SELECT FROM answered)"
NOT_YET = """NOT EXISTS (
  SELECT FROM run_steps WHERE run_id = {run_id} AND position = :doubtful AND status <> :unless{besides})"""

CLOSE_STEPS = """
  closed AS (
    UPDATE run_steps SET status = :step_status, ended_at = now() FROM moved
    WHERE run_steps.run_id = moved.id AND run_steps.status = 'in_progress'{besides})"""

# A step that the worker doesn't know of: it was recorded by a statement whose answer was cut off.
_UNKNOWN = " AND NOT (CAST(:answered AS jsonb) @> jsonb_build_array(jsonb_build_object('id', run_steps.id)))"


class Telling(NamedTuple):
    """A step that tells by its being there, with another status than `unless`, that something has been written."""

    doubtful: int  # its position
    unless: str = ""


class Records(NamedTuple):
    """What a worker did since its last write: new messages and steps, and what became of the step in progress.

    `opened` says that it may have left a step in progress that it doesn't know of. `used` is what was used since, and
    `total` since the run's beginning, if that has become more; `doubtful`, if there is one, is the step that tells
    whether `used` has been written already.
    """

    messages: Sequence[Mapping[str, Any]] = ()
    steps: Sequence[Mapping[str, Any]] = ()
    answered: Sequence[Mapping[str, Any]] = ()
    opened: bool = False
    used: Sequence[Used] = ()
    total: Sequence[Mapping[str, Any]] | None = None
    doubtful: Telling | None = None

    def parts(self, *, final: bool, stays: bool) -> Iterator[str]:
        """The SQL of what there is to write; of a move that `stays` where it was, so that it may be made twice."""
        if self.messages:
            yield _MESSAGES
        if self.steps:
            yield _STEPS
        if self.answered:
            yield _ANSWERED
        if final and self.opened:
            yield CLOSE_STEPS.format(besides=_UNKNOWN)
        if self.used:
            yield f"used AS ({insert('moved', once=self._once(stays=stays))})"

    def _once(self, *, stays: bool) -> str:
        if stays:
            return _DONE if self.steps else _WAS_ANSWERED
        return "true" if self.doubtful is None else NOT_YET.format(run_id="moved.id", besides="")
