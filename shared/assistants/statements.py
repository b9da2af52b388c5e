"""The SQL of assistants where one column is changed by what is in it."""

from sqlalchemy import text

from shared.audit.statements import note
from shared.removals.note import leave

_NAMED = "file_ids @> to_jsonb(CAST(:file_id AS text))"

# Two that attach at once can't pass the limit together; attaching what is attached changes nothing.
ATTACH_FILE = text(f"""
UPDATE assistants SET file_ids = CASE WHEN {_NAMED} THEN file_ids ELSE file_ids || to_jsonb(CAST(:file_id AS text)) END
WHERE id = :id AND project_id = :project_id AND ({_NAMED} OR jsonb_array_length(file_ids) < :most) RETURNING id""")

DELETE = text(f"""
WITH gone AS (DELETE FROM assistants WHERE id = :id AND project_id = :project_id RETURNING id, project_id),
  left_over AS ({leave("assistant", "gone")}), {note("gone")}
SELECT id FROM gone""")

DETACH_FILE = text(f"""
WITH detached AS (
  UPDATE assistants SET file_ids = file_ids - CAST(:file_id AS text)
  WHERE id = :id AND project_id = :project_id AND {_NAMED} RETURNING id), {note("detached")}
SELECT id FROM detached""")
