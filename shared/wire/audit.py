"""Entries of the audit log on the wire."""

from typing import Any, cast

from shared.database import Row
from shared.wire.administration import LIMIT_OF_COLUMN
from shared.wire.objects import seconds
from shared.wire.shapes.audit import Actor, AuditLogObject, EntryProject


def audit_log_object(row: Row) -> AuditLogObject:
    """An entry, with `number` and `hash` of its link and its `project_name`."""
    shown: dict[str, Any] = {
        "id": row["id"],
        "type": row["type"],
        "effective_at": seconds(row["created_at"]),
        "actor": _actor(row),
        row["type"]: {"id": row["resource_id"], **row["details"]},
        "assistantd": {
            "via": "command_line" if row["actor_kind"] == "command_line" else "api",
            "ip_address": row["ip_address"],
            "user_agent": row["user_agent"],
            "changed": None if row["changed"] is None else [LIMIT_OF_COLUMN.get(name, name) for name in row["changed"]],
            "number": row["number"],
            "hash": row["hash"],
        },
    }
    if row["project_id"] is not None:
        shown["project"] = _project(row)
    return cast("AuditLogObject", shown)


def _actor(row: Row) -> Actor:
    """The original knows keys and sessions; whoever is at the command line is shown as the latter."""
    match row["actor_kind"]:
        case "command_line":
            return {"type": "session", "session": {"user": {"id": row["actor_id"]}}}
        case "admin_key":
            return {"type": "api_key", "api_key": {"id": row["actor_id"], "type": "user"}}
        case _:
            account = {"id": row["actor_account_id"]}
            key = {"id": row["actor_id"], "type": "service_account", "service_account": account}
            return cast("Actor", {"type": "api_key", "api_key": key})


def _project(row: Row) -> EntryProject:
    shown: EntryProject = {"id": row["project_id"]}
    if row["project_name"] is not None:
        shown["name"] = row["project_name"]
    return shown
