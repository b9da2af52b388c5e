"""What search costs as stores grow: stores of several sizes in one database beside many small ones, before and after
the large ones have their indexes, with filters, and after half of a store has been deleted.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import text

from shared.database import Database, session
from shared.embeddings.spaces import Spaces
from shared.vector_stores import indexes
from shared.vector_stores.search import Searcher
from tests.benchmarks.retrieval.filling import PROJECT, Store, fill
from tests.benchmarks.retrieval.server import Known
from tests.benchmarks.retrieval.synthetic import DIMENSIONS, Topics, Vectors, Vocabulary, literal
from worker.ingest.indexes import alone, index_one

SMALL, SMALL_CHUNKS = 200, 500
ASKED_WORDS = 6
UNINDEXED = 20  # questions that are asked of a store without its index, which take long
DELETED_FROM = 100_000  # the store of which half is deleted, or the largest below that
PARTS = {"1 % of its files": 1, "5 % of its files": 5, "half of its files": 50}

_EXACT = text("""
WITH near AS MATERIALIZED (
  SELECT concat(ingestion, '-', chunk) AS id, embedding <=> CAST(:vector AS halfvec) AS far
  FROM passages JOIN vector_store_files AS file USING (ingestion)
  WHERE passages.vector_store_id = :store AND CAST(attributes ->> 'part' AS int) < :parts)
SELECT id FROM near ORDER BY far LIMIT 10""")

_DELETE_HALF = text("""
DELETE FROM vector_store_files WHERE vector_store_id = :store AND CAST(attributes ->> 'part' AS int) % 2 = 0""")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of searching in a store of so many chunks, in milliseconds: by vectors alone, with their recall@10 against a look
    at each of them; and with words.
    """

    what: str
    p50: float
    p95: float
    recall: float
    p50_words: float
    p95_words: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A filled database, and who asks."""

    database: Database
    topics: Topics
    known: dict[str, Vectors]
    searcher: Searcher

    async def cost(self, store: Store, questions: int, what: str = "", parts: int = 100) -> Cost:
        """Of so many questions after some that warm up; of the `parts` hundredths of the store's files."""
        filters = {"type": "lt", "key": "part", "value": parts} if parts < 100 else None
        words, recall, took, took_words = Vocabulary(store.chunks), list[float](), list[float](), list[float]()
        warm = questions // 5
        for number, vector in enumerate(self.topics.draw(store.topics, warm + questions)):
            bare, spoken = f"question{number}", f"{words.text(ASKED_WORDS)} question{number}"  # no text has this word
            self.known[bare] = self.known[spoken] = vector
            rows, seconds = await self._search(store, bare, filters)
            took.append(seconds)
            took_words.append((await self._search(store, spoken, filters))[1])
            exact = {"vector": literal(vector), "store": store.id, "parts": parts}
            nearest = {row["id"] for row in await self.database.all(_EXACT, exact)}
            recall.append(len(nearest & {row["chunk_id"] for row in rows}) / len(nearest))
        spread = [*np.percentile(took[warm:], [50, 95]), *np.percentile(took_words[warm:], [50, 95])]
        p50, p95, p50_words, p95_words = (float(value) * 1000 for value in spread)
        return Cost(f"{store.chunks:,}{what}", p50, p95, float(np.mean(recall)), p50_words, p95_words)

    async def _search(self, store: Store, query: str, filters: Mapping[str, Any] | None) -> tuple[Any, float]:
        began = time.perf_counter()
        rows = await self.searcher.search(self.database, PROJECT, [store.id], [query], filters=filters)
        return rows, time.perf_counter() - began


async def measure(url: str, sizes: Sequence[int], questions: int, small: int = SMALL) -> list[Cost]:
    """Fill a database with our schema with a store of each size and many small ones, and search in the former."""
    topics, known = Topics(), dict[str, Vectors]()
    spaces = Spaces(Known(known))
    stores = [Store(f"vs_{size}", size, topics.some()) for size in sizes]
    others = [Store(f"vs_small_{number}", SMALL_CHUNKS, topics.some()) for number in range(small)]
    async with Database(url) as database:
        fill(url, await spaces.begin(database, DIMENSIONS), topics, [*stores, *others])
        bench = Bench(database, topics, known, Searcher(spaces))
        large = [store for store in stores if store.chunks > indexes.EACH_UP_TO]
        without = [await bench.cost(store, UNINDEXED, ", no index yet") for store in large]
        await build(url)
        return [*without, *await costs(bench, stores, questions)]


async def build(url: str) -> None:
    """The indexes of large stores, by the worker's own code."""
    async with session(url) as db:
        if not await alone(db):
            raise RuntimeError("somebody else builds indexes in this database")
        while await index_one(db):
            pass


async def costs(bench: Bench, stores: Sequence[Store], questions: int) -> list[Cost]:
    """Of a filled database whose large stores have their indexes. Half of a store is deleted at the end."""
    largest = max(stores, key=lambda store: store.chunks)
    halved = max((store for store in stores if store.chunks <= DELETED_FROM), key=lambda store: store.chunks)
    found = [await bench.cost(store, questions) for store in stores]
    found += [await bench.cost(largest, questions, f", {what}", parts) for what, parts in PARTS.items()]
    await bench.database.all(_DELETE_HALF, {"store": halved.id})
    found.append(await bench.cost(halved, questions, ", half deleted"))
    await bench.database.all(text("VACUUM passages"))
    return [*found, await bench.cost(halved, questions, ", and vacuumed")]


def table(costs: Sequence[Cost]) -> Iterator[str]:
    """The figures, next to what was asked for."""
    yield f"{'chunks':32}{'p50 ms':>9}{'p95 ms':>9}{'recall@10':>11}{'p50 words':>11}{'p95 words':>11}"
    for cost in costs:
        times = f"{cost.p50:9.1f}{cost.p95:9.1f}{cost.recall:11.3f}{cost.p50_words:11.1f}{cost.p95_words:11.1f}"
        yield f"{cost.what:32}{times}"
    yield "asked for: at 100,000 p95 of at most 30 ms with a recall of .95; at 1,000,000 at most 3 times that of 10,000"
