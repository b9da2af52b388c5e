"""The SQL of uploads. Each statement is guarded by the status: of two that end an upload the second finds no row."""

from sqlalchemy import text

from shared.audit.statements import note

_OPEN = "id = :id AND project_id = :project_id AND status = 'pending' AND expires_at > now()"

# Parts stay for a while after their upload's time: whoever began to complete it in time may end.
CREATE = text("""
INSERT INTO uploads (id, project_id, expires_at, parts_due_at, filename, purpose, mime_type, bytes,
  file_expires_after_s)
VALUES (:id, :project_id, now() + :lifetime, now() + :lifetime + :grace, :filename, :purpose, :mime_type, :bytes,
  :file_expires_after_s)
RETURNING *""")

GET = text("""
SELECT *, status = 'pending' AND expires_at <= now() AS is_late FROM uploads
WHERE id = :id AND project_id = :project_id""")

# The counters are in the upload's row, so that parts which come at the same time can't pass the limits together.
ADD_PART = text(f"""
WITH upload AS (
  UPDATE uploads SET received = received + :bytes, parts = parts + 1
  WHERE {_OPEN} AND received + :bytes <= :most_bytes AND parts < :most_parts RETURNING id, project_id)
INSERT INTO upload_parts (id, project_id, upload_id, bytes) SELECT :part_id, project_id, id, :bytes FROM upload
RETURNING *""")

PARTS = text("SELECT id, bytes FROM upload_parts WHERE upload_id = :id AND project_id = :project_id")

# The upload ends and the file begins in one commit.
COMPLETE = text("""
WITH upload AS (
  UPDATE uploads SET status = 'completed', parts_due_at = now()
  WHERE id = :id AND project_id = :project_id AND status = 'pending' RETURNING *)
INSERT INTO files (id, project_id, filename, purpose, bytes, sha256, expires_at)
SELECT :file_id, project_id, filename, purpose, bytes, :sha256, now() + make_interval(secs => file_expires_after_s)
FROM upload RETURNING *""")

CANCEL = text(f"""
WITH cancelled AS (
  UPDATE uploads SET status = 'cancelled', parts_due_at = now() WHERE {_OPEN} RETURNING *), {note("cancelled")}
SELECT * FROM cancelled""")

PARTS_DUE = text("""
SELECT upload_parts.id FROM uploads JOIN upload_parts ON upload_id = uploads.id WHERE parts_due_at < now()
LIMIT :at_most""")

FORGET_PARTS = text("DELETE FROM upload_parts WHERE id = ANY(:ids)")

FORGET = text("""
WITH emptied AS (
  UPDATE uploads SET parts_due_at = NULL, status = CASE status WHEN 'pending' THEN 'expired' ELSE status END
  WHERE id IN (
    SELECT id FROM uploads WHERE parts_due_at < now()
    AND NOT EXISTS (SELECT FROM upload_parts WHERE upload_id = uploads.id) LIMIT :at_most FOR UPDATE SKIP LOCKED))
DELETE FROM uploads WHERE id IN (
  SELECT id FROM uploads WHERE expires_at < now() - CAST(:kept AS interval) AND parts_due_at IS NULL
  LIMIT :at_most FOR UPDATE SKIP LOCKED)""")
