"""The SQL of idempotency keys."""

from sqlalchemy import text

TAKE = text("""
INSERT INTO idempotency_keys (project_id, key, fingerprint) VALUES (:project_id, :key, :fingerprint)
ON CONFLICT (project_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, created_at = now(), status = NULL,
  body = NULL, run_id = NULL, thread_id = NULL, stream_after = NULL, subject = NULL
  WHERE idempotency_keys.created_at < now() - interval '24 hours'
RETURNING key""")

FIND = text("SELECT * FROM idempotency_keys WHERE project_id = :project_id AND key = :key")

ANSWER = text("""
UPDATE idempotency_keys SET status = :status, body = :body, run_id = :run_id, thread_id = :thread_id,
  stream_after = :stream_after, subject = :subject
WHERE project_id = :project_id AND key = :key""")

FORGET = text("""
DELETE FROM idempotency_keys WHERE (project_id, key) IN (
  SELECT project_id, key FROM idempotency_keys WHERE created_at < now() - interval '24 hours'
  LIMIT :at_most FOR UPDATE SKIP LOCKED)""")
