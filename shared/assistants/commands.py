"""What can be done to assistants."""

from collections.abc import Mapping
from typing import Any

from shared import ids, table
from shared.assistants.rows import Assistant
from shared.database import Executor, Row
from shared.errors import NotFound, found


async def create(db: Executor, project_id: str, columns: Mapping[str, Any]) -> Row:
    """Insert an assistant."""
    return await table.add(db, Assistant, {**columns, "id": ids.new("asst"), "project_id": project_id})


async def get(db: Executor, project_id: str, assistant_id: str) -> Row:
    """The assistant. Raises NotFound."""
    return found(
        await table.get(db, Assistant, {"id": assistant_id, "project_id": project_id}), "assistant", assistant_id
    )


async def modify(db: Executor, project_id: str, assistant_id: str, columns: Mapping[str, Any]) -> Row:
    """Change the assistant; runs that have begun keep what they were told. Raises NotFound."""
    return found(
        await table.modify(db, Assistant, {"id": assistant_id, "project_id": project_id}, columns),
        "assistant",
        assistant_id,
    )


async def delete(db: Executor, project_id: str, assistant_id: str) -> None:
    """Delete the assistant; its runs and messages stay. Raises NotFound."""
    if not await table.remove(db, Assistant, {"id": assistant_id, "project_id": project_id}):
        raise NotFound("assistant", assistant_id)
