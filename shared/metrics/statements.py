"""The SQL of metrics."""

from sqlalchemy import text

from shared.runs.status import ACTIVE, WAITS_FOR_THREAD, WAITS_FOR_WORKER, in_sql
from shared.vector_stores.status import HELD
from shared.vector_stores.status import WAITS_FOR_WORKER as FILE_WAITS

# Both halves go by partial indexes of what is under way (runs_expiring; vector_store_files_waiting, _held): what has
# ended is never looked at. A run is queued since its last move, of which its history tells, or since its creation.
STATE = text(f"""
SELECT * FROM (
  SELECT count(*) FILTER (WHERE {WAITS_FOR_WORKER}) AS queued,
    count(*) FILTER (WHERE {WAITS_FOR_THREAD}) AS behind,
    count(*) FILTER (WHERE status = 'in_progress') AS in_progress,
    count(*) FILTER (WHERE status = 'requires_action') AS requires_action,
    count(*) FILTER (WHERE lease_expires_at < now()) AS lease_over,
    count(*) FILTER (WHERE expires_at < now()) AS overdue,
    max(now() - coalesce(CAST(history -> -1 ->> 'at' AS timestamptz), created_at))
      FILTER (WHERE {WAITS_FOR_WORKER}) AS oldest_queued
  FROM runs WHERE status IN {in_sql(ACTIVE)}) AS runs,
(SELECT count(*) AS files_waiting, max(now() - created_at) AS oldest_file
  FROM vector_store_files WHERE {FILE_WAITS}) AS waiting,
(SELECT count(*) AS files_held FROM vector_store_files WHERE {HELD}) AS held""")
