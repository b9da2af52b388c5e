"""Searching in vector stores, by words and by vectors.

A result's score is made of two shares between 0 and 1: 0.6 of words, 0.4 of vectors.

*Words*: how much of the question its text has, each word weighing the more the rarer it is in the stores, and counting
the more the oftener it is in the text and the shorter that is (BM25, as a share of the most that the question's words
could reach). Words are compared by their stems and as they are written, and what stands together without a space, as
the name of an option does, counts as a whole as well.

*Vectors*: the cosine between the question and the nearest passage of the text, and to some part the second nearest.
Without an embedding model, or while it is away, the score is that of the words alone.

Of several questions the best score counts.
Where there is a reranker its scores take the place of these, unless the ranker is `none`.
"""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, NamedTuple, Self

import structlog

from shared.database import Executor, Row, to_json
from shared.embeddings.client import Refused, Unavailable
from shared.embeddings.reranker import Reranker, reranker_of
from shared.embeddings.spaces import Spaces, spaces_of
from shared.errors import InvalidRequest, NotFound
from shared.metrics import files as metrics
from shared.settings import Settings
from shared.tracing import genai
from shared.tracing.spans import span
from shared.usage.facts import Spend, Used
from shared.vector_stores import indexes, ranking
from shared.vector_stores.filters import json_path
from shared.vector_stores.ranking import Vectors

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=5)  # with the embedding model; after that the words have to do
WORDS = 64  # of a question that are looked for as words; its vector is that of all of it ...
ALL_WORDS = 400  # ... and of all questions together
RERANKED = 50  # results that a reranker is shown
NO_RERANKING = "none"

_WORD = re.compile(r"[^\W_]+")


class _Asked(NamedTuple):
    """The questions as vectors, in the way of Postgres, and the space that they are in."""

    vectors: list[str | None]
    space: int | None = None
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class Searcher:
    """Searches, with the models that there are."""

    spaces: Spaces | None = None
    reranker: Reranker | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """With the models that are configured."""
        return cls(spaces_of(settings), reranker_of(settings))

    async def close(self) -> None:
        """Close the connections to the models."""
        if self.spaces is not None:
            await self.spaces.model.close()
        if self.reranker is not None:
            await self.reranker.close()

    async def search(
        self,
        db: Executor,
        project_id: str,
        store_ids: Sequence[str],
        queries: Sequence[str],
        *,
        filters: Mapping[str, Any] | None = None,
        ranker: str = "auto",
        threshold: float = 0,
        limit: int = 10,
        spend: Spend | None = None,
    ) -> Sequence[Row]:
        """The chunks that answer any of the queries, best first: `file_id`, `filename`, `attributes`, `text`, `score`,
        `chunk_id`, `page`, `pages`. `spend` is told what the questions' vectors cost.

        Raises NotFound, or InvalidRequest if a store has expired.
        """
        with genai.retrieval(store_ids, queries) as searched:
            rows = await self._found(db, project_id, store_ids, queries, filters, ranker, threshold, limit, spend)
            searched.set({"assistantd.results": len(rows)})
        return rows

    async def _found(
        self,
        db: Executor,
        project_id: str,
        store_ids: Sequence[str],
        queries: Sequence[str],
        filters: Mapping[str, Any] | None,
        ranker: str,
        threshold: float,
        limit: int,
        spend: Spend | None,
    ) -> Sequence[Row]:
        began = time.monotonic()
        filter_ = None if filters is None else json_path(filters)
        passages = await _passages(db, project_id, store_ids, filter_)
        reranker = self.reranker if ranker != NO_RERANKING else None
        params: dict[str, Any] = {
            "store_ids": list(store_ids),
            "project_id": project_id,
            "queries": [_beginning(query, min(WORDS, ALL_WORDS // len(queries))) for query in queries],
            "filter": filter_,
            "threshold": threshold if reranker is None else 0,
            "limit": limit if reranker is None else max(limit, RERANKED),
        }
        asked = await self._vectors(db, queries, spend)
        indexed = await _indexed(db, asked.space, passages)
        how = Vectors.NONE if asked.space is None else Vectors.INDEXED if indexed else Vectors.EACH
        candidates = ranking.candidates(how, len(queries), params["limit"])
        params |= {"enough": ranking.ENOUGH, "rare": ranking.RARE, "few": ranking.FEW, "candidates": candidates}
        params |= {"indexed": indexed, **asked._asdict()}
        rows = await db.all(ranking.search(how), params)
        if reranker is not None and rows:
            rows = (await _reranked(reranker, queries, rows, threshold))[:limit]
        metrics.SEARCH.labels("words" if how is Vectors.NONE else "vectors").observe(time.monotonic() - began)
        return rows

    async def _vectors(self, db: Executor, queries: Sequence[str], spend: Spend | None) -> _Asked:
        without = _Asked([None] * len(queries))
        if self.spaces is None:
            return without
        try:
            embedded = await self.spaces.model.embed(queries, within=PATIENCE)
        except (Unavailable, Refused) as error:
            metrics.BY_WORDS_ALONE.inc()
            log.warning("search.by_words_alone", error=f"{type(error).__name__}: {error}")
            return without
        if spend is not None:
            spend(Used("embeddings", self.spaces.model.model, embedded.requests, embedded.tokens))
        dimensions = len(embedded.vectors[0])
        space = await self.spaces.find(db, dimensions)
        return _Asked([to_json(vector) for vector in embedded.vectors], space, dimensions)


def _beginning(query: str, words: int) -> str:
    """As far as so many words reach. Those that nothing but a sign keeps apart count as well: each is looked for."""
    too_many = next(islice(_WORD.finditer(query), words, None), None)
    return query if too_many is None else query[: too_many.start()]


async def _passages(db: Executor, project_id: str, store_ids: Sequence[str], filter_: str | None) -> Mapping[str, int]:
    """How many there are to search in, by store. Raises NotFound, InvalidRequest."""
    params = {"store_ids": list(store_ids), "project_id": project_id, "filter": filter_}
    found = await db.all(ranking.SIZE, params)
    rows = {row["id"]: row for row in found}
    for store_id in store_ids:
        if store_id not in rows:
            raise NotFound("vector store", store_id)
        if rows[store_id]["expired"]:
            raise InvalidRequest(f"Vector store {store_id} has expired.", code="vector_store_expired")
    return {store_id: row["passages"] for store_id, row in rows.items()}


async def _indexed(db: Executor, space: int | None, passages: Mapping[str, int]) -> list[str]:
    """Of the stores with too many wanted passages to look at each, those that have an index.

    One that goes between this look and the search makes it slow, and one that comes is used by the next.
    """
    large = [store_id for store_id, number in passages.items() if number > indexes.EACH_UP_TO]
    if space is None or not large:
        return []
    rows = await db.all(indexes.READY, {"space": space, "store_ids": large})
    return [row["id"] for row in rows]


async def _reranked(reranker: Reranker, queries: Sequence[str], rows: Sequence[Row], threshold: float) -> Sequence[Row]:
    texts = [row["text"] for row in rows]
    try:
        with span("rerank", {"assistantd.texts": len(texts)}, kind="client"):
            judged = await asyncio.gather(*(reranker.judge(query, texts) for query in queries))
    except (Unavailable, Refused) as error:
        metrics.NOT_RERANKED.inc()
        log.warning("search.not_reranked", error=f"{type(error).__name__}: {error}")
        return [row for row in rows if row["score"] >= threshold]
    best = [{**row, "score": max(scores)} for row, *scores in zip(rows, *judged, strict=True)]
    return sorted((row for row in best if row["score"] >= threshold), key=lambda row: -row["score"])
