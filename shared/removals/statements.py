"""The SQL of removals. Each statement takes so many rows at most, leaves alone what somebody else has locked, and says
how many it removed: `n`.
"""

from sqlalchemy import TextClause, text

from shared.removals.note import leave


def _remove(table: str, which: str, key: str = "id", then: str = "") -> TextClause:
    """Delete some rows of a table; `then` is what else the statement does with them (`gone`)."""
    more = f", {then}" if then else ""
    return text(f"""
WITH gone AS (
  DELETE FROM {table} WHERE ({key}) IN (
    SELECT {", ".join(f"{table}.{one}" for one in key.split(", "))} FROM {which}
    LIMIT :at_most FOR UPDATE OF {table} SKIP LOCKED) RETURNING *){more}
SELECT count(*) AS n FROM gone""")


# What every worker asks once a second; each part is a look into an index that is empty most of the time.
ANYTHING = text("""
SELECT EXISTS (SELECT FROM removals) OR EXISTS (SELECT FROM threads WHERE deleted_at IS NOT NULL)
  OR EXISTS (SELECT FROM vector_stores WHERE deleted_at IS NOT NULL)
  OR EXISTS (SELECT FROM projects WHERE deleted_at IS NOT NULL) AS there""")

THREADS_DUE = text("SELECT id FROM threads WHERE deleted_at IS NOT NULL ORDER BY deleted_at, id LIMIT :at_most")

# Steps before their runs, which would take them along, however many there are.
OF_THREADS: dict[str, TextClause] = {
    "run_step": _remove("run_steps", "runs JOIN run_steps ON run_id = runs.id WHERE runs.thread_id = ANY(:ids)"),
    "run": _remove(
        "runs",
        "runs WHERE thread_id = ANY(:ids) AND NOT EXISTS (SELECT FROM run_steps WHERE run_id = runs.id)",
        then=f"noted AS ({leave('run', 'gone')})",
    ),
    "message": _remove("messages", "messages WHERE thread_id = ANY(:ids)"),
    "answer": _remove("idempotency_keys", "idempotency_keys WHERE subject = ANY(:ids)", "project_id, key"),
    "session": _remove(
        "code_interpreter_sessions",
        "code_interpreter_sessions WHERE thread_id = ANY(:ids)",
        then=f"""ended AS (SELECT DISTINCT thread_id AS id, project_id FROM gone),
  noted AS ({leave("session", "ended")})""",
    ),
    "hour": _remove("code_interpreter_hours", "code_interpreter_hours WHERE thread_id = ANY(:ids)", "thread_id"),
    "place": _remove("sandbox_places", "sandbox_places WHERE thread_id = ANY(:ids)", "thread_id"),
}

# What came in meanwhile, by a worker that did not know yet, is seen here, and is removed the next time.
FORGET_THREADS = text("""
WITH gone AS (
  DELETE FROM threads WHERE id = ANY(:ids) AND deleted_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM messages WHERE thread_id = threads.id)
  AND NOT EXISTS (SELECT FROM runs WHERE thread_id = threads.id)
  AND NOT EXISTS (SELECT FROM code_interpreter_sessions WHERE thread_id = threads.id) RETURNING id)
SELECT count(*) AS n FROM gone""")

STORES_DUE = text("SELECT id FROM vector_stores WHERE deleted_at IS NOT NULL ORDER BY deleted_at, id LIMIT :at_most")

OF_STORES: dict[str, TextClause] = {
    "store_file": _remove(
        "vector_store_files", "vector_store_files WHERE vector_store_id = ANY(:ids)", "vector_store_id, id"
    ),
    "batch": _remove("vector_store_batches", "vector_store_batches WHERE vector_store_id = ANY(:ids)"),
    "place_in_list": _remove(
        "vector_store_files_removed",
        "vector_store_files_removed WHERE vector_store_id = ANY(:ids)",
        "vector_store_id, id",
    ),
    "answer": OF_THREADS["answer"],
}

FORGET_STORES = text("""
WITH gone AS (
  DELETE FROM vector_stores WHERE id = ANY(:ids) AND deleted_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM vector_store_files WHERE vector_store_id = vector_stores.id) RETURNING id)
SELECT count(*) AS n FROM gone""")

NOTES = text("SELECT id FROM removals WHERE kind = :kind ORDER BY noted_at, id LIMIT :at_most")

FORGET_NOTES = text("""
DELETE FROM removals WHERE kind = :kind AND id = ANY(:ids)
AND NOT (kind = 'ingestion' AND EXISTS (SELECT FROM chunks WHERE ingestion = removals.id)) RETURNING id""")

CHUNKS = _remove("chunks", "chunks WHERE ingestion = ANY(:ids)", "ingestion, position")

ANSWERS = OF_THREADS["answer"]

# Threads that name a file: those that its deletion left, for they were too many.
REFERENCES = text("""
WITH named AS (
  SELECT id FROM threads WHERE tool_resources <> '{}'::jsonb
  AND tool_resources #> '{code_interpreter,file_ids}' ?| CAST(:ids AS text[]) LIMIT :at_most FOR UPDATE SKIP LOCKED),
  changed AS (
  UPDATE threads SET tool_resources = jsonb_set(tool_resources, '{code_interpreter,file_ids}',
    (tool_resources #> '{code_interpreter,file_ids}') - CAST(:ids AS text[]))
  FROM named WHERE threads.id = named.id RETURNING threads.id)
SELECT count(*) AS n FROM changed""")

_IN_NO_STORE = "NOT EXISTS (SELECT FROM vector_store_files AS inside WHERE inside.id = files.id)"

PROJECTS_DUE = text("SELECT id FROM projects WHERE deleted_at IS NOT NULL ORDER BY id LIMIT :at_most")

# Threads and stores are marked, and then removed like those that were deleted one by one. Uploads end as if they were
# cancelled long ago: those who sweep them know how to remove the bytes of their parts.
OF_PROJECT: dict[str, TextClause] = {
    "answer": _remove("idempotency_keys", "idempotency_keys WHERE project_id = :id", "project_id, key"),
    "thread": text("""
WITH due AS (
  SELECT id FROM threads WHERE project_id = :id AND deleted_at IS NULL LIMIT :at_most FOR UPDATE SKIP LOCKED),
  quiet AS (DELETE FROM thread_activity WHERE thread_id IN (SELECT id FROM due)),
  gone AS (UPDATE threads SET deleted_at = now() FROM due WHERE threads.id = due.id RETURNING threads.id)
SELECT count(*) AS n FROM gone"""),
    "store": text("""
WITH due AS (
  SELECT id FROM vector_stores WHERE project_id = :id AND deleted_at IS NULL LIMIT :at_most FOR UPDATE SKIP LOCKED),
  gone AS (UPDATE vector_stores SET deleted_at = now() FROM due WHERE vector_stores.id = due.id RETURNING due.id)
SELECT count(*) AS n FROM gone"""),
    "assistant": _remove(
        "assistants", "assistants WHERE project_id = :id", then=f"noted AS ({leave('assistant', 'gone')})"
    ),
    "file": _remove(
        "files", f"files WHERE project_id = :id AND {_IN_NO_STORE}", then=f"noted AS ({leave('file', 'gone')})"
    ),
    "upload": text("""
WITH due AS (
  SELECT id FROM uploads WHERE project_id = :id AND expires_at > now() - interval '2 days'
  LIMIT :at_most FOR UPDATE SKIP LOCKED),
  gone AS (
  UPDATE uploads SET status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END, parts_due_at = now(),
    expires_at = now() - interval '3 days'
  FROM due WHERE uploads.id = due.id RETURNING due.id)
SELECT count(*) AS n FROM gone"""),
}

# The last of it: its row, with service accounts, keys, limits and budget. What was used stays, for it was used.
FORGET_PROJECT = text("""
WITH gone AS (
  DELETE FROM projects WHERE id = :id AND deleted_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM threads WHERE project_id = :id)
  AND NOT EXISTS (SELECT FROM vector_stores WHERE project_id = :id)
  AND NOT EXISTS (SELECT FROM files WHERE project_id = :id)
  AND NOT EXISTS (SELECT FROM assistants WHERE project_id = :id)
  AND NOT EXISTS (SELECT FROM uploads WHERE project_id = :id) RETURNING id)
SELECT count(*) AS n FROM gone""")
