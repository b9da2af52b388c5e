"""What can be done to assistants."""

from collections.abc import Mapping
from typing import Any

from shared import ids, table
from shared.assistants import statements
from shared.assistants.rows import Assistant
from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Executor, Row
from shared.errors import InvalidRequest, NotFound, found
from shared.vault.contents import secret
from shared.wire import limits


async def create(db: Executor, project_id: str, columns: Mapping[str, Any]) -> Row:
    """Insert an assistant."""
    values = secret(columns, "instructions")
    return await table.add(db, Assistant, {**values, "id": ids.new("asst"), "project_id": project_id})


async def get(db: Executor, project_id: str, assistant_id: str) -> Row:
    """The assistant. Raises NotFound."""
    return found(
        await table.get(db, Assistant, {"id": assistant_id, "project_id": project_id}), "assistant", assistant_id
    )


async def modify(db: Executor, project_id: str, assistant_id: str, columns: Mapping[str, Any]) -> Row:
    """Change the assistant; runs that have begun keep what they were told. Raises NotFound."""
    keys, values = {"id": assistant_id, "project_id": project_id}, secret(columns, "instructions")
    return found(await table.modify(db, Assistant, keys, values), "assistant", assistant_id)


async def delete(db: Executor, by: Actor, project_id: str, assistant_id: str) -> None:
    """Delete the assistant; its runs and messages stay. Raises NotFound."""
    params = {
        "id": assistant_id,
        "project_id": project_id,
        "entry": entry(by, "assistant.deleted", assistant_id, project_id),
    }
    if await db.one(statements.DELETE, params) is None:
        raise NotFound("assistant", assistant_id)


async def attach_file(db: Executor, project_id: str, assistant_id: str, file_id: str) -> None:
    """Add a file to v1's `file_ids`, once. Raises NotFound, or InvalidRequest if there is no room."""
    params = {"id": assistant_id, "project_id": project_id, "file_id": file_id, "most": limits.V1_ASSISTANT_FILES}
    if await db.one(statements.ATTACH_FILE, params) is None:
        await get(db, project_id, assistant_id)
        raise _full(assistant_id)


def require_room(assistant: Row, file_id: str) -> None:
    """Raises InvalidRequest if the assistant can't have this file besides those of its v1 `file_ids`."""
    if file_id not in assistant["file_ids"] and len(assistant["file_ids"]) >= limits.V1_ASSISTANT_FILES:
        raise _full(assistant["id"])


async def detach_file(db: Executor, by: Actor, project_id: str, assistant_id: str, file_id: str) -> None:
    """Take a file out of v1's `file_ids`; the file stays. Raises NotFound."""
    told = entry(by, "assistant.file.deleted", file_id, project_id, {"assistant_id": assistant_id})
    params = {"id": assistant_id, "project_id": project_id, "file_id": file_id, "entry": told}
    if await db.one(statements.DETACH_FILE, params) is None:
        await get(db, project_id, assistant_id)
        raise NotFound("file", file_id)


def _full(assistant_id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Assistant {assistant_id} has {limits.V1_ASSISTANT_FILES} files, which is the most it may have.",
        param="file_id",
    )
