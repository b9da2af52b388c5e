"""How long projects keep things: what is older is deleted as a client would delete it, and removed likewise.

Threads count from the last thing that happened on them, files from their creation; those that code made (`outputs`, of
purpose `assistants_output`) apart from those that were uploaded. A file stays while a vector store, an assistant or a
thread has it. That a message of a thread names it does not keep it: messages tell of what was. Nothing goes that a run
which is active may come to: its thread, and files that its thread's messages, its steps or its session name.
"""

from collections import Counter
from typing import Literal

from sqlalchemy import text

from shared.database import Executor
from shared.files.statements import delete_some
from shared.runs.status import ACTIVE, in_sql

AT_MOST = 500  # of a kind, of one project, in one statement

Kept = Literal["threads", "files", "outputs"]
KEPT: tuple[Kept, ...] = ("threads", "files", "outputs")

_PROJECTS = text("""
SELECT id, threads_kept_s, files_kept_s, outputs_kept_s FROM projects
WHERE coalesce(threads_kept_s, files_kept_s, outputs_kept_s) IS NOT NULL AND deleted_at IS NULL ORDER BY id""")

# By the index thread_activity_listed. Whoever is just writing that something happens on a thread keeps it.
_THREADS = text(f"""
WITH due AS (
  SELECT thread_id FROM thread_activity AS quiet
  WHERE project_id = :project_id AND active_at < now() - make_interval(secs => :kept_s)
  AND NOT EXISTS (SELECT FROM runs WHERE runs.thread_id = quiet.thread_id AND status IN {in_sql(ACTIVE)})
  ORDER BY active_at, thread_id LIMIT :at_most FOR UPDATE SKIP LOCKED),
  quiet AS (DELETE FROM thread_activity WHERE thread_id IN (SELECT thread_id FROM due) RETURNING thread_id)
UPDATE threads SET deleted_at = now() FROM quiet WHERE id = quiet.thread_id AND deleted_at IS NULL RETURNING id""")

_ACTIVE = f"SELECT thread_id FROM runs WHERE project_id = :project_id AND status IN {in_sql(ACTIVE)}"

_NAMED = f"""
  SELECT jsonb_array_elements_text(
    coalesce(tool_resources #> '{{code_interpreter,file_ids}}', '[]') || assistants.file_ids) AS id
  FROM assistants WHERE project_id = :project_id
  UNION
  SELECT word #>> '{{}}' FROM (
    SELECT jsonb_build_array(content, attachments, file_ids) AS told FROM messages WHERE thread_id IN ({_ACTIVE})
    UNION ALL
    SELECT details FROM run_steps JOIN runs ON runs.id = run_id WHERE runs.thread_id IN ({_ACTIVE})
    UNION ALL
    SELECT files FROM code_interpreter_sessions WHERE thread_id IN ({_ACTIVE})) AS records,
    jsonb_path_query(told, 'strict $.** ? (@.type() == "string" && @ starts with "file-")') AS word"""


def _files(purpose: str) -> str:
    return f"""
SELECT id FROM files WHERE project_id = :project_id AND created_at < now() - make_interval(secs => :kept_s)
AND purpose {purpose} 'assistants_output'
AND NOT EXISTS (SELECT FROM vector_store_files AS inside WHERE inside.id = files.id)
AND NOT EXISTS (
  SELECT FROM threads WHERE tool_resources <> '{{}}'::jsonb AND deleted_at IS NULL
  AND tool_resources #> '{{code_interpreter,file_ids}}' ? files.id)
AND id NOT IN ({_NAMED})
ORDER BY created_at, id LIMIT :at_most FOR UPDATE SKIP LOCKED"""


_STATEMENTS = {"threads": _THREADS, "files": delete_some(_files("<>")), "outputs": delete_some(_files("="))}


async def enforce(db: Executor) -> Counter[str]:
    """Delete what its project keeps no longer; returns how many of what. A crash leaves the rest to the next call."""
    deleted: Counter[str] = Counter()
    for project in await db.all(_PROJECTS):
        for what in KEPT:
            if (kept_s := project[f"{what}_kept_s"]) is not None:
                deleted[what] += await _enforce(db, project["id"], what, kept_s)
    return +deleted


async def _enforce(db: Executor, project_id: str, what: Kept, kept_s: int) -> int:
    deleted = 0
    while True:
        rows = await db.all(_STATEMENTS[what], {"project_id": project_id, "kept_s": kept_s, "at_most": AT_MOST})
        deleted += len(rows)
        if len(rows) < AT_MOST:
            return deleted
