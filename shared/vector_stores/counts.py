"""How many files a store or batch has, by status: counted when asked, from an index, so that they are always true."""

from collections.abc import Sequence
from typing import Literal

from shared.database import Executor, Row
from shared.vector_stores import statements
from shared.vector_stores.status import FileStatus


async def of_stores(db: Executor, project_id: str, rows: Sequence[Row]) -> list[Row]:
    """Stores with `counts` (by status) and `usage_bytes`."""
    return await _counted(db, project_id, rows, "vector_store_id")


async def of_store(db: Executor, row: Row) -> Row:
    """One store, likewise."""
    return (await of_stores(db, row["project_id"], [row]))[0]


async def of_batch(db: Executor, row: Row) -> Row:
    """A batch, likewise."""
    return (await _counted(db, row["project_id"], [row], "batch_id"))[0]


async def _counted(
    db: Executor, project_id: str, rows: Sequence[Row], column: Literal["vector_store_id", "batch_id"]
) -> list[Row]:
    if not rows:
        return []
    params = {"ids": [row["id"] for row in rows], "project_id": project_id}
    counted: dict[str, Row] = {
        row["id"]: {**row, "counts": {status.value: 0 for status in FileStatus}, "usage_bytes": 0} for row in rows
    }
    for found in await db.all(statements.counts(column), params):
        owner = counted[found["owner"]]
        owner["counts"][found["status"]] = found["files"]
        owner["usage_bytes"] += found["bytes"]
    return list(counted.values())
