"""The SQL of the audit log. Nothing here changes or removes an entry, and nothing could."""

from sqlalchemy import text

_COLUMNS = {
    "id": "text",
    "type": "text",
    "project_id": "text",
    "resource_id": "text",
    "details": "jsonb",
    "changed": "jsonb",
    "actor_kind": "text",
    "actor_id": "text",
    "actor_account_id": "text",
    "ip_address": "text",
    "user_agent": "text",
}
_TOLD = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())


def note(
    source: str, entry: str = "entry", *, project: str = "told.project_id", resource: str = "told.resource_id"
) -> str:
    """A part of a WITH: an entry for what the part named `source` did, which has a row if it did anything, and none if
    not. The entry is the parameter of the name `entry` (`entries.entry`); `project` and `resource` are SQL for what
    only the statement knows of it.
    """
    values = {"project_id": project, "resource_id": resource}
    chosen = ", ".join(values.get(name, f"told.{name}") for name in _COLUMNS)
    return f"""
noted_{entry} AS (
  INSERT INTO audit_entries ({", ".join(_COLUMNS)})
  SELECT {chosen} FROM {source}, jsonb_to_record(CAST(:{entry} AS jsonb)) AS told({_TOLD}))"""


FACTS = text("""
SELECT entry.id, number, hash, projects.name AS project_name FROM audit_entries AS entry
LEFT JOIN audit_links ON entry_id = entry.id LEFT JOIN projects ON projects.id = project_id
WHERE entry.id = ANY(:ids)""")

WALK = text("""
SELECT number, hash, entry_id, entry.*, CAST(details AS text) AS details_text, CAST(changed AS text) AS changed_text
FROM audit_links LEFT JOIN audit_entries AS entry ON entry.id = entry_id
WHERE number > :after ORDER BY number LIMIT :at_most""")

NOT_LINKED = text("""
SELECT id FROM audit_entries WHERE NOT EXISTS (SELECT FROM audit_links WHERE entry_id = audit_entries.id)
ORDER BY id LIMIT 1""")
