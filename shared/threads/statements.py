"""The SQL of threads and messages where several rows or tables change together."""

from sqlalchemy import text

from shared.runs.status import ACTIVE, in_sql


def insert_messages(source: str, thread_id: str, messages: str = "CAST(:messages AS jsonb)") -> str:
    """An INSERT of `messages` (JSON; a parameter by default) for each row of `source`, usually one or none."""
    return f"""
INSERT INTO messages (id, project_id, thread_id, role, content, attachments, file_ids, metadata)
SELECT new.id, {source}.project_id, {source}.{thread_id}, new.role, new.content, new.attachments,
  new.file_ids, new.metadata
FROM {source}, jsonb_to_recordset({messages})
  AS new(id text, role text, content jsonb, attachments jsonb, file_ids jsonb, metadata jsonb)"""


INSERT_THREAD = """
INSERT INTO threads (id, project_id, tool_resources, metadata)
SELECT :thread_id, {project_id}, CAST(:tool_resources AS jsonb), CAST(:thread_metadata AS jsonb) {source}
RETURNING *"""

CREATE_THREAD = text(f"""
WITH thread AS ({INSERT_THREAD.format(project_id=":project_id", source="")}),
  added AS ({insert_messages("thread", "id")})
SELECT * FROM thread""")

# No message enters a thread with an active run: the lock is looked at in the statement that writes. A message that
# races with the creation of a run counts as having come before it.
ADD_MESSAGE = text(f"""
WITH thread AS (
  SELECT id, project_id FROM threads WHERE id = :thread_id AND project_id = :project_id
  AND NOT EXISTS (SELECT FROM runs WHERE thread_id = :thread_id AND status IN {in_sql(ACTIVE)}))
{insert_messages("thread", "id")}
RETURNING *""")

ACTIVE_RUN = text(f"SELECT id FROM runs WHERE thread_id = :thread_id AND status IN {in_sql(ACTIVE)}")

# Runs before their thread, in which order settling locks them too: the other way round the two could block each other.
DELETE_THREAD = text("""
WITH runs_gone AS (
  DELETE FROM runs WHERE thread_id = :thread_id AND project_id = :project_id RETURNING thread_id),
  gone AS (
  DELETE FROM threads WHERE id = :thread_id AND project_id = :project_id
  AND (SELECT count(*) FROM runs_gone) >= 0 RETURNING id)
SELECT id FROM gone""")
