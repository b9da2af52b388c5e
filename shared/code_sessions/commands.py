"""What a worker does with sessions of the code interpreter. A thread is one run's at a time, and so is its session."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from shared.database import Executor, Row, to_json
from shared.usage.facts import Used, insert, plain

HOUR = Used("code_interpreter_sessions")

_NEWEST = text("""
SELECT id, files FROM code_interpreter_sessions WHERE thread_id = :thread_id AND project_id = :project_id
ORDER BY started_at DESC LIMIT 1""")

_KEEP = text("""
INSERT INTO code_interpreter_sessions (id, project_id, thread_id, files, started_at)
VALUES (:id, :project_id, :thread_id, CAST(:files AS jsonb), :started_at)
ON CONFLICT (id) DO UPDATE SET files = excluded.files, used_at = now()""")

_END = text("""
UPDATE code_interpreter_sessions SET ended_at = :ended_at, seconds = :seconds
WHERE id = :id AND thread_id = :thread_id AND project_id = :project_id""")

# What an assistant, a thread or a message names, and what is attached to a message for this tool. v1's are for every
# tool. Messages that name no file are not in the index messages_with_files.
_FILES = text("""
WITH named AS (
  SELECT jsonb_array_elements_text(coalesce(tool_resources #> '{code_interpreter,file_ids}', '[]') || file_ids) AS id
  FROM assistants WHERE id = :assistant_id AND project_id = :project_id
  UNION
  SELECT jsonb_array_elements_text(tool_resources #> '{code_interpreter,file_ids}')
  FROM threads WHERE id = :thread_id AND project_id = :project_id
  UNION
  SELECT attachment ->> 'file_id' FROM messages, jsonb_array_elements(attachments) AS attachment
  WHERE thread_id = :thread_id AND project_id = :project_id AND (attachments <> '[]' OR file_ids <> '[]')
  AND attachment -> 'tools' @> '[{"type": "code_interpreter"}]'
  UNION
  SELECT jsonb_array_elements_text(file_ids) FROM messages
  WHERE thread_id = :thread_id AND project_id = :project_id AND (attachments <> '[]' OR file_ids <> '[]'))
SELECT files.id, filename, bytes FROM named JOIN files ON files.id = named.id AND files.project_id = :project_id
ORDER BY files.created_at, files.id LIMIT :at_most""")


# As the original billed it: one session a thread and hour, which begins with the first call that falls into no other.
# What begins it, counts it: a statement that is sent again finds it begun. Of a thread that is gone, and its run with
# it, nothing begins.
_BEGIN_HOUR = text(f"""
WITH begun AS (
  INSERT INTO code_interpreter_hours AS hours (thread_id, began_at)
  SELECT id, now() FROM threads WHERE id = :thread_id AND project_id = :project_id
  ON CONFLICT (thread_id) DO UPDATE SET began_at = now() WHERE hours.began_at <= now() - interval '1 hour'
  RETURNING thread_id),
  whose AS (
  SELECT CAST(:project_id AS text) AS project_id, CAST(:api_key_id AS text) AS api_key_id,
    CAST(:assistant_id AS text) AS assistant_id FROM begun),
  used AS ({insert("whose")})
SELECT thread_id FROM begun""")


async def begin_hour(db: Executor, run: Row) -> bool:
    """Count a session of the run's thread, unless the last hour has one; says whether it was counted."""
    whose = {name: run[name] for name in ("thread_id", "project_id", "api_key_id", "assistant_id")}
    return await db.one(_BEGIN_HOUR, {**whose, "used": to_json(plain([HOUR]))}) is not None


async def newest(db: Executor, project_id: str, thread_id: str) -> Row | None:
    """`id` and `files` of the thread's last known session."""
    return await db.one(_NEWEST, {"project_id": project_id, "thread_id": thread_id})


async def keep(
    db: Executor, project_id: str, thread_id: str, session_id: str, started_at: datetime, files: Mapping[str, Any]
) -> None:
    """Note which files are in the session; see `CodeSession`."""
    params = {"id": session_id, "project_id": project_id, "thread_id": thread_id, "started_at": started_at}
    await db.all(_KEEP, {**params, "files": to_json(files)})


async def end(
    db: Executor, project_id: str, thread_id: str, session_id: str, ended_at: datetime, seconds: float
) -> None:
    """Note how long a session lasted."""
    params = {"id": session_id, "project_id": project_id, "thread_id": thread_id}
    await db.all(_END, {**params, "ended_at": ended_at, "seconds": seconds})


async def files_of(db: Executor, project_id: str, assistant_id: str, thread_id: str, *, at_most: int) -> Sequence[Row]:
    """The files that the code of a run on this thread is to find: id, filename, bytes; the oldest first."""
    params = {"project_id": project_id, "assistant_id": assistant_id, "thread_id": thread_id, "at_most": at_most}
    return await db.all(_FILES, params)
