"""Searching in vector stores, by words and by vectors.

A result's score is the mean of two shares between 0 and 1. *Words*: how much of the question its text has, each word
weighing the more the rarer it is in the stores, and counting 0.61 if it is there once, up to 1 if it is often; words
are compared by their stems, and what stands together without a space, as the name of an option does, counts as a whole
as well. *Vectors*: the cosine between the question and the passage of the text that is nearest to it. Without an
embedding model, or while it is away, the score is that of the words alone. Of several questions the best score counts.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import structlog

from shared.database import Executor, Row, to_json
from shared.embeddings.client import EmbeddingsRefused, EmbeddingsUnavailable
from shared.embeddings.spaces import CODE, Spaces
from shared.errors import InvalidRequest, NotFound
from shared.vector_stores import ranking
from shared.vector_stores.filters import json_path
from shared.vector_stores.ranking import Vectors

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=5)  # with the embedding model; after that the words have to do
WORDS = 64  # of a question that are looked for as words; its vector is that of all of it


class _Asked(NamedTuple):
    """The questions as vectors, in the way of Postgres, and the space that they are in."""

    vectors: list[str | None]
    space: int | None = None
    numbers: int | None = None  # of a vector, as it is kept


async def search(
    db: Executor,
    spaces: Spaces | None,
    project_id: str,
    store_ids: Sequence[str],
    queries: Sequence[str],
    *,
    filters: Mapping[str, Any] | None = None,
    threshold: float = 0,
    limit: int = 10,
) -> Sequence[Row]:
    """The chunks that answer any of the queries, best first: `file_id`, `filename`, `attributes`, `text`, `score`,
    `chunk_id`, `page`, `pages`. `spaces` are those of the embedding model, if there is one.

    Raises NotFound, or InvalidRequest if a store has expired.
    """
    chunks = await _size(db, project_id, store_ids)
    asked = await _vectors(db, spaces, queries) if spaces is not None else _Asked([None] * len(queries))
    how = Vectors.NONE
    if asked.space is not None:
        how = Vectors.EACH if chunks <= ranking.EACH_UP_TO else Vectors.INDEXED
    params = {
        **ranking.FIGURES,
        "store_ids": list(store_ids),
        "project_id": project_id,
        "queries": [" ".join(query.split()[:WORDS]) for query in queries],
        "filter": None if filters is None else json_path(filters),
        "threshold": threshold,
        "limit": limit,
        **asked._asdict(),
    }
    return await db.all(ranking.search(how), params)


async def _size(db: Executor, project_id: str, store_ids: Sequence[str]) -> int:
    """How many chunks there are to search in. Raises NotFound, InvalidRequest."""
    rows = {
        row["id"]: row for row in await db.all(ranking.SIZE, {"store_ids": list(store_ids), "project_id": project_id})
    }
    for store_id in store_ids:
        if store_id not in rows:
            raise NotFound("vector store", store_id)
        if rows[store_id]["expired"]:
            raise InvalidRequest(f"Vector store {store_id} has expired.", code="vector_store_expired")
    return sum(row["chunks"] for row in rows.values())


async def _vectors(db: Executor, spaces: Spaces, queries: Sequence[str]) -> _Asked:
    try:
        vectors = await spaces.model.embed(queries, within=PATIENCE)
    except (EmbeddingsUnavailable, EmbeddingsRefused) as error:
        log.warning("search.by_words_alone", error=f"{type(error).__name__}: {error}")
        return _Asked([None] * len(queries))
    dimensions = len(vectors[0])
    return _Asked([to_json(vector) for vector in vectors], await spaces.find(db, dimensions), dimensions + CODE)
