"""The SQL of files."""

from sqlalchemy import TextClause, text

from shared.audit.statements import note
from shared.removals.note import leave

INSERT = text("""
INSERT INTO files (id, project_id, filename, purpose, bytes, sha256, expires_at)
VALUES (:id, :project_id, :filename, :purpose, :bytes, :sha256, now() + :expires_after) RETURNING *""")

KEEP = text("""
INSERT INTO files (id, project_id, filename, purpose, bytes, sha256)
VALUES (:id, :project_id, :filename, :purpose, :bytes, :sha256) ON CONFLICT (id) DO NOTHING""")

_WITHOUT = """jsonb_set(tool_resources, '{code_interpreter,file_ids}',
  (tool_resources #> '{code_interpreter,file_ids}') - (SELECT array_agg(id) FROM gone))"""


def _deleting(which: str, threads: str, besides: str = "") -> str:
    """Delete the files of `which` (a condition), and do something `besides`. Whoever is still to be told of a file
    forgets it with its row: assistants and threads. Messages and runs tell of what was, and keep its id. `threads` are
    found by the index threads_files, by a tenant through the view that migration 0019 made for it; if they are many,
    the rest of them follow in the background, as the file's bytes do. Assistants are few.
    """
    return f"""
WITH gone AS (DELETE FROM files WHERE {which} RETURNING id, project_id),{besides}
  left_over AS ({leave("file", "gone")}),
  from_assistants AS (
    UPDATE assistants SET file_ids = file_ids - (SELECT array_agg(id) FROM gone),
      tool_resources = coalesce({_WITHOUT}, tool_resources)
    WHERE project_id IN (SELECT project_id FROM gone)
    AND (file_ids ?| (SELECT array_agg(id) FROM gone)
      OR tool_resources #> '{{code_interpreter,file_ids}}' ?| (SELECT array_agg(id) FROM gone))),
  from_threads AS (
    UPDATE threads SET tool_resources = coalesce({_WITHOUT}, tool_resources) WHERE id IN (
      SELECT id FROM {threads} WHERE tool_resources <> '{{}}'::jsonb
      AND tool_resources #> '{{code_interpreter,file_ids}}' ?| (SELECT array_agg(id) FROM gone) LIMIT 500))
SELECT id FROM gone"""


DELETE = text(_deleting("id = :id AND project_id = :project_id", "threads_of_tenant", f" {note('gone')},"))


def delete_some(due: str) -> TextClause:
    """Delete those files that `due` selects, ids, as `DELETE` does, whosever they are."""
    return text(_deleting(f"id IN ({due})", "threads"))


DELETE_EXPIRED = delete_some("SELECT id FROM files WHERE expires_at < now() LIMIT :at_most FOR UPDATE SKIP LOCKED")

FACTS = text("SELECT id, filename, bytes FROM files WHERE id = ANY(:ids) AND project_id = :project_id")

MISSING = text("""
SELECT wanted.id FROM unnest(CAST(:ids AS text[])) AS wanted(id)
LEFT JOIN files ON files.id = wanted.id AND project_id = :project_id WHERE files.id IS NULL LIMIT 1""")

WITHOUT_ROWS = text("""
SELECT key FROM unnest(CAST(:keys AS text[])) AS stored(key)
WHERE NOT EXISTS (SELECT FROM files WHERE id = key) AND NOT EXISTS (SELECT FROM upload_parts WHERE id = key)""")

# One sweep at a time in all workers, by Postgres's clock; whoever finds no row has nothing to do.
BEGIN_SWEEP = text("""
INSERT INTO store_sweeps (one) VALUES (true)
ON CONFLICT (one) DO UPDATE SET begun_at = now() WHERE store_sweeps.begun_at < now() - CAST(:every AS interval)
RETURNING begun_at""")

AFTER = text("SELECT id, project_id FROM files WHERE id > :after ORDER BY id LIMIT :at_most")

IS_THERE = text("SELECT id FROM files WHERE id = :id")
