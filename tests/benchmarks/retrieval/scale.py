"""What search costs as stores grow: stores of several sizes in one database beside many small ones, before and after
the large ones have their indexes, with filters, and after half of a store has been deleted.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

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


class Case(NamedTuple):
    """A store that is searched in; of its files, the wanted `parts` in a hundred."""

    store: Store
    what: str = ""
    parts: int = 100


@dataclass(slots=True)
class Taken:
    """What searches in one case took, in seconds, and the share of the ten nearest that they found."""

    bare: list[float] = field(default_factory=list[float])
    spoken: list[float] = field(default_factory=list[float])
    recall: list[float] = field(default_factory=list[float])


@dataclass(frozen=True, slots=True)
class Bench:
    """A filled database, and who asks."""

    database: Database
    topics: Topics
    known: dict[str, Vectors]
    searcher: Searcher

    async def costs(self, cases: Sequence[Case], questions: int) -> list[Cost]:
        """Of so many questions in each case, one case after the other: what else the machine does, it does to all."""
        taken = [Taken() for _ in cases]
        warm, words = questions // 5, Vocabulary(len(self.known))
        for _ in range(warm + questions):
            for case, into in zip(cases, taken, strict=True):
                await self._ask(case, words.text(ASKED_WORDS), into)
        return [_cost(case, of_case, warm) for case, of_case in zip(cases, taken, strict=True)]

    async def _ask(self, case: Case, words: str, into: Taken) -> None:
        store, parts = case.store.id, case.parts
        filters = {"type": "lt", "key": "part", "value": parts} if parts < 100 else None
        bare = f"question{len(self.known)}"  # a word that no text has
        spoken = f"{words} {bare}"
        (vector,) = self.topics.draw(case.store.topics, 1)
        self.known[bare] = self.known[spoken] = vector
        began = time.perf_counter()
        rows = await self.searcher.search(self.database.within(PROJECT), PROJECT, [store], [bare], filters=filters)
        into.bare.append(time.perf_counter() - began)
        began = time.perf_counter()
        await self.searcher.search(self.database.within(PROJECT), PROJECT, [store], [spoken], filters=filters)
        into.spoken.append(time.perf_counter() - began)
        exact = {"vector": literal(vector), "store": store, "parts": parts}
        nearest = {row["id"] for row in await self.database.all(_EXACT, exact)}
        into.recall.append(len(nearest & {row["chunk_id"] for row in rows}) / len(nearest))


def _cost(case: Case, taken: Taken, warm: int) -> Cost:
    spread = [*np.percentile(taken.bare[warm:], [50, 95]), *np.percentile(taken.spoken[warm:], [50, 95])]
    p50, p95, p50_words, p95_words = (float(value) * 1000 for value in spread)
    return Cost(f"{case.store.chunks:,}{case.what}", p50, p95, float(np.mean(taken.recall)), p50_words, p95_words)


async def measure(url: str, sizes: Sequence[int], questions: int, small: int = SMALL) -> list[Cost]:
    """Fill a database with our schema with a store of each size and many small ones, and search in the former."""
    topics, known = Topics(), dict[str, Vectors]()
    spaces = Spaces(Known(known))
    stores = [Store(f"vs_{size}", size, topics.some()) for size in sizes]
    others = [Store(f"vs_small_{number}", SMALL_CHUNKS, topics.some()) for number in range(small)]
    async with Database(url) as database:
        fill(url, await spaces.begin(database, DIMENSIONS), topics, [*stores, *others])
        bench = Bench(database, topics, known, Searcher(spaces))
        large = [Case(store, ", no index yet") for store in stores if store.chunks > indexes.EACH_UP_TO]
        without = await bench.costs(large, UNINDEXED)
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
    cases = [*map(Case, stores), *(Case(largest, f", {what}", parts) for what, parts in PARTS.items())]
    found = await bench.costs(cases, questions)
    await bench.database.all(_DELETE_HALF, {"store": halved.id})
    found += await bench.costs([Case(halved, ", half deleted")], questions)
    await bench.database.all(text("VACUUM passages"))
    return [*found, *await bench.costs([Case(halved, ", and vacuumed")], questions)]


def table(costs: Sequence[Cost]) -> Iterator[str]:
    """The figures, next to what was asked for."""
    yield f"{'chunks':32}{'p50 ms':>9}{'p95 ms':>9}{'recall@10':>11}{'p50 words':>11}{'p95 words':>11}"
    for cost in costs:
        times = f"{cost.p50:9.1f}{cost.p95:9.1f}{cost.recall:11.3f}{cost.p50_words:11.1f}{cost.p95_words:11.1f}"
        yield f"{cost.what:32}{times}"
    yield "asked for: at 100,000 p95 of at most 30 ms with a recall of .95; at 1,000,000 at most 3 times that of 10,000"
