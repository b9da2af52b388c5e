"""The SQL of threads and messages where several rows or tables change together."""

from sqlalchemy import text

from shared.audit.statements import note
from shared.removals.note import leave
from shared.runs.status import ACTIVE, in_sql


def insert_messages(source: str, thread_id: str, messages: str = "CAST(:messages AS jsonb)") -> str:
    """An INSERT of `messages` (JSON; a parameter by default) for each row of `source`, usually one or none."""
    return f"""
INSERT INTO messages (id, project_id, thread_id, role, content, attachments, file_ids, metadata)
SELECT new.id, {source}.project_id, {source}.{thread_id}, new.role, new.content, new.attachments,
  new.file_ids, new.metadata
FROM {source}, jsonb_to_recordset({messages})
  AS new(id text, role text, content jsonb, attachments jsonb, file_ids jsonb, metadata jsonb)"""


def touch(source: str) -> str:
    """Note that something happened on the thread of the `source` rows, which are of one thread or none. See
    `ThreadActivity` for why it skips a row that somebody has locked.
    """
    return f"""
UPDATE thread_activity SET active_at = greatest(active_at, (SELECT max(created_at) FROM {source}))
WHERE thread_id = (
  SELECT thread_id FROM thread_activity WHERE thread_id = (SELECT min(thread_id) FROM {source})
  FOR NO KEY UPDATE SKIP LOCKED)"""


def begin_activity(source: str) -> str:
    """Note the creation of the threads in `source`."""
    return f"""
INSERT INTO thread_activity (thread_id, project_id, active_at) SELECT id, project_id, created_at FROM {source}"""


INSERT_THREAD = """
INSERT INTO threads (id, project_id, tool_resources, metadata)
SELECT :thread_id, {project_id}, CAST(:tool_resources AS jsonb), CAST(:thread_metadata AS jsonb) {source}
RETURNING *"""

CREATE_THREAD = text(f"""
WITH thread AS ({INSERT_THREAD.format(project_id=":project_id", source="")}),
  begun AS ({begin_activity("thread")}),
  added AS ({insert_messages("thread", "id")})
SELECT * FROM thread""")

# No message enters a thread with an active run: the lock is looked at in the statement that writes. A message that
# races with the creation of a run counts as having come before it.
ADD_MESSAGE = text(f"""
WITH thread AS (
  SELECT id, project_id FROM threads WHERE id = :thread_id AND project_id = :project_id AND deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM runs WHERE thread_id = :thread_id AND status IN {in_sql(ACTIVE)})),
  added AS ({insert_messages("thread", "id")} RETURNING *),
  active AS ({touch("added")})
SELECT * FROM added""")

ACTIVE_RUN = text(f"""
SELECT id FROM runs WHERE thread_id = :thread_id AND project_id = :project_id AND status IN {in_sql(ACTIVE)}""")

# The thread is gone for everybody, and those of its runs that are under way; all else follows in the background. Runs
# before their thread, in which order settling locks them too: the other way round the two could block each other. The
# same holds of the note of its activity, which comes between them.
DELETE_THREAD = text(f"""
WITH runs_gone AS (
  DELETE FROM runs WHERE thread_id = :thread_id AND project_id = :project_id AND status IN {in_sql(ACTIVE)}
  RETURNING id, project_id, thread_id),
  left_over AS ({leave("run", "runs_gone")}),
  activity_gone AS (
  DELETE FROM thread_activity WHERE thread_id = :thread_id AND project_id = :project_id
  AND (SELECT count(*) FROM runs_gone) >= 0 RETURNING thread_id),
  gone AS (
  UPDATE threads SET deleted_at = now() WHERE id = :thread_id AND project_id = :project_id AND deleted_at IS NULL
  AND (SELECT count(*) FROM activity_gone) >= 0 RETURNING id),
  {note("gone")}
SELECT id FROM gone""")

# Threads with the instant of their last activity, to be listed by their creation or by that instant. Rows are ordered
# and compared by columns of the one table whose index has them all, so that a page is a walk along that index. Metadata
# are looked up in an index through the view alone; why, says the migration that makes it (0019).
BY_CREATION = """(
SELECT threads.*, active_at
FROM threads_of_tenant AS threads LEFT JOIN thread_activity ON thread_id = threads.id
WHERE deleted_at IS NULL) AS threads"""
BY_ACTIVITY = """(
SELECT thread_id AS id, active.project_id, active_at, created_at, tool_resources, metadata
FROM thread_activity AS active JOIN threads_of_tenant AS threads ON threads.id = thread_id AND deleted_at IS NULL
) AS threads"""

INDEXED_METADATA = "metadata <> '{}'::jsonb"  # what `threads_metadata` is limited to: to be said where it is to serve
