"""Room for a project's files, where they are limited. What is refused is told in the original's words and as a 400, as
there: no client tries it again, for waiting makes no room.

What code made and showed counts, and is kept in any case: no run loses its work for it. Parts of an upload count when
they have become a file.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Executable, text

from shared.database import Executor, Row, Transactional
from shared.errors import InvalidRequest
from shared.metrics import limits as metrics

_IDLE_WITHIN = timedelta(seconds=5)  # of the lock on a project's room

# Files of one project are made one after the other where they are limited: two that looked at the same time would both
# find the last room free.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:project_id, 1))")

_STORED = text("SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM files WHERE project_id = :project_id")


async def require(db: Executor, project_id: str, size: int, at_most: int | None) -> None:
    """Raises InvalidRequest if the project's files, and one more of so many bytes, would have more than `at_most`."""
    if at_most is None:
        return
    stored = await db.one(_STORED, {"project_id": project_id})
    if stored is not None and stored["bytes"] + size > at_most:
        metrics.refused("stored_bytes")
        raise InvalidRequest(
            f"You have exceeded your file storage quota. Project {project_id} is limited to {at_most} bytes of files. "
            "Please delete old files or attempt with a smaller file size."
        )


async def keep(
    db: Transactional, statement: Executable, params: Mapping[str, Any], size: int, at_most: int | None
) -> Row | None:
    """Execute the statement that makes a file of so many bytes, if there is room for it; `params` name its project.

    Raises InvalidRequest.
    """
    if at_most is None:
        return await db.one(statement, params)
    project_id = params["project_id"]
    async with db.transaction(_IDLE_WITHIN) as transaction:
        await transaction.one(_LOCK, {"project_id": project_id})
        await require(transaction, project_id, size, at_most)
        return await transaction.one(statement, params)
