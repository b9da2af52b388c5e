"""Searching in vector stores: full text, ranked by how many of the question's words a chunk has.

Words are compared by their English stems, and words that English uses everywhere are left out. A chunk's score is the
mean, over the words of the question, of how often it has the word: 0 for not at all, 0.61 for once, up to 1. Of several
questions the best score counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.database import Executor, Row
from shared.vector_stores import commands as stores
from shared.vector_stores import statements
from shared.vector_stores.filters import json_path


async def search(
    db: Executor,
    project_id: str,
    store_ids: Sequence[str],
    queries: Sequence[str],
    *,
    filters: Mapping[str, Any] | None = None,
    threshold: float = 0,
    limit: int = 10,
) -> Sequence[Row]:
    """The chunks that answer any of the queries, best first: `file_id`, `filename`, `attributes`, `text`, `score`,
    `chunk_id`, `page`.

    Raises NotFound, or InvalidRequest if a store has expired.
    """
    for store_id in store_ids:
        await stores.require_live(db, project_id, store_id)
    params = {
        "store_ids": list(store_ids),
        "project_id": project_id,
        "queries": list(queries),
        "filter": None if filters is None else json_path(filters),
        "threshold": threshold,
        "limit": limit,
    }
    return await db.all(statements.SEARCH, params)
