"""The server's own search, on a real Postgres: the corpus in a store, kept by the worker's statements."""

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from typing_extensions import override

from shared import ids
from shared.database import Database, to_json
from shared.embeddings.client import TIMEOUT, Embedded, Embeddings
from shared.embeddings.spaces import Spaces
from shared.vector_stores import embedding, reading
from shared.vector_stores.search import Searcher
from tests.benchmarks.retrieval.corpus import OVERLAP, SIZE, Chunk
from tests.benchmarks.retrieval.metrics import DEPTH
from tests.benchmarks.retrieval.passages import Passage

Vector = NDArray[np.float32]

PROJECT, STORE = "proj_bench", "vs_bench"
AT_ONCE = 200  # rows of one statement

_BEGIN = text("""
WITH project AS (INSERT INTO projects (id, name) VALUES (:project, 'bench'))
INSERT INTO vector_stores (id, project_id, name) VALUES (:store, :project, 'bench')""")

_ADD = text("""
WITH file AS (
  INSERT INTO files (id, project_id, filename, purpose, bytes, sha256)
  VALUES (:id, :project, :filename, 'assistants', 0, :id) RETURNING id)
INSERT INTO vector_store_files (vector_store_id, id, project_id, ingestion, max_chunk_size_tokens, chunk_overlap_tokens,
  stage) SELECT :store, :id, :project, :id, :size, :overlap, 'reading' FROM file""")

_EMBEDDED = text("UPDATE vector_store_files SET stage = 'read', space = :space WHERE ingestion = :ingestion")

_DONE = text("""
UPDATE vector_store_files SET status = 'completed', finished_at = now() WHERE vector_store_id = :store""")


class Known(Embeddings):
    """The embedding model, as far as search knows one: it has been asked everything before."""

    def __init__(self, vectors: Mapping[str, Vector], model: str = "known", window: int = 0) -> None:
        """There is no endpoint; texts are added to `vectors` as they come to be known."""
        self.model, self.window = model, window
        self._answers = vectors

    @override
    async def embed(self, texts: Sequence[str], *, within: timedelta = TIMEOUT) -> Embedded:
        """What was answered then. Raises KeyError."""
        return Embedded([[float(number) for number in self._answers[one]] for one in texts])


@dataclass(frozen=True, slots=True)
class Served:
    """Search as the API and the assistants do it; a searcher without a model does it by words alone."""

    database: Database
    searcher: Searcher
    keys: Mapping[str, int]
    told: Callable[[str], str] = str

    def by_words(self) -> "Served":
        """The same without a model."""
        return replace(self, searcher=Searcher())

    def by_vectors(self, vectors: Mapping[str, Vector]) -> "Served":
        """The same without words: questions, of which `vectors` has those, are told as a word that no text has."""
        if self.searcher.spaces is None:
            raise ValueError("there is no model")
        model = self.searcher.spaces.model
        known = Known({_disguise(text): vector for text, vector in vectors.items()}, model.model, model.window)
        return replace(self, searcher=Searcher(Spaces(known)), told=_disguise)

    async def rank(self, queries: Sequence[str]) -> list[list[int]]:
        """One after the other."""
        return [await self._search(query) for query in queries]

    async def _search(self, query: str) -> list[int]:
        rows = await self.searcher.search(
            self.database.within(PROJECT), PROJECT, [STORE], [self.told(query)], limit=DEPTH
        )
        return [self.keys[row["chunk_id"]] for row in rows]


@asynccontextmanager
async def served(
    url: str, chunks: Sequence[Chunk], passages: Sequence[Passage], vectors: Mapping[str, Vector], model: Embeddings
) -> AsyncGenerator[Served]:
    """A database with our schema gets the corpus; `vectors` has those of passages, `model` is asked for questions'."""
    spaces = Spaces(model)
    async with Database(url) as database:
        space = await spaces.begin(database, len(next(iter(vectors.values()))))
        await database.all(_BEGIN, {"project": PROJECT, "store": STORE})
        keys = dict[str, int]()
        for filename, of_file in groupby(chunks, lambda chunk: chunk.filename):
            file, found = ids.new("file"), list(of_file)
            keys |= {f"{file}-{position}": chunk.key for position, chunk in enumerate(found, 1)}
            await _add(database, file, filename, found)
            first, last = found[0].key, found[-1].key
            await _embed(database, file, space, first, [p for p in passages if first <= p.first <= last], vectors)
        await database.all(_DONE, {"store": STORE})
        await database.all(text("ANALYZE"))
        yield Served(database, Searcher(spaces), keys)


def _disguise(query: str) -> str:
    return f"q{hashlib.sha256(query.encode()).hexdigest()}"


async def _add(database: Database, file: str, filename: str, chunks: Sequence[Chunk]) -> None:
    sizes = {"size": SIZE, "overlap": OVERLAP}
    await database.all(_ADD, {"id": file, "project": PROJECT, "store": STORE, "filename": filename, **sizes})
    rows = [_row(chunk, position) for position, chunk in enumerate(chunks, 1)]
    for first in range(0, len(rows), AT_ONCE):
        totals = {"chunks": len(rows), "usage_bytes": 0, "pages": None, "pages_read": 0, "pages_unread": 0}
        kept = {"ingestion": file, "term": 0, "new_chunks": to_json(rows[first : first + AT_ONCE])}
        await database.all(reading.KEEP, {**totals, **kept})


def _row(chunk: Chunk, position: int) -> dict[str, Any]:
    fields = {name: getattr(chunk, name) for name in ("text", "tokens", "begins", "ends", "page", "headings")}
    return {**fields, "position": position, "pages": []}


async def _embed(
    database: Database,
    file: str,
    space: int,
    first: int,
    passages: Sequence[Passage],
    vectors: Mapping[str, Vector],
) -> None:
    await database.all(_EMBEDDED, {"ingestion": file, "space": space})
    rows = [
        {
            "chunk": passage.first - first + 1,
            "last_chunk": passage.last - first + 1,
            "number": passage.number,
            "embedding": vectors[passage.text].tolist(),
        }
        for passage in passages
    ]
    for start in range(0, len(rows), AT_ONCE):
        kept = {"space": space, "embedded": 0, "passages": to_json(rows[start : start + AT_ONCE]), "used": "[]"}
        await database.all(embedding.KEEP, {"ingestion": file, "term": 0, **kept})
