"""What search costs as stores grow: stores of several sizes in one database, with texts and vectors made up.

Vectors are no noise: each is a mixture of two of some hundred topics, of which a store has its own, and varies around
them in few dimensions; questions are drawn in the same way. Words are drawn by Zipf's law. Each chunk has one vector.
"""

import random
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier
from sqlalchemy import text

from shared.database import Database
from shared.embeddings.spaces import Spaces, index
from shared.vector_stores.search import Searcher
from tests.benchmarks.retrieval.server import Known

Vectors = NDArray[np.float32]

DIMENSIONS = 384
TOPICS, OWN = 400, 30
SPREAD = 24  # dimensions in which texts about a topic differ
AT_ONCE = 2_000
PER_FILE = 1_000
WORDS, VOCABULARY = 40, 50_000
ASKED_WORDS = 6
PROJECT = "proj_scale"

_STORE = text("""
WITH project AS (INSERT INTO projects (id, name) VALUES (:project, 'scale') ON CONFLICT DO NOTHING),
  store AS (INSERT INTO vector_stores (id, project_id, name) VALUES (:store, :project, :store)),
  numbered AS (SELECT concat(CAST(:store AS text), '_', n) AS id FROM generate_series(1, :files) AS n),
  file AS (
  INSERT INTO files (id, project_id, filename, purpose, bytes, sha256)
  SELECT id, :project, 'a.txt', 'assistants', 0, id FROM numbered)
INSERT INTO vector_store_files (vector_store_id, id, project_id, ingestion, max_chunk_size_tokens, chunk_overlap_tokens,
  stage, status, finished_at, chunks, space)
SELECT :store, id, :project, id, 800, 400, 'read', 'completed', now(), :per_file, :space FROM numbered""")

_DRAFT = "CREATE TEMPORARY TABLE draft (ingestion text, position int, text text, embedding halfvec)"

_CHUNKS = """
INSERT INTO chunks (ingestion, position, project_id, vector_store_id, text, tokens, begins, ends, search)
SELECT ingestion, position, %(project)s, %(store)s, text, 800, 0, length(text),
  to_tsvector('english', text) || array_to_tsvector(ARRAY[%(store)s::text]) FROM draft"""

_PASSAGES = """
INSERT INTO passages (ingestion, chunk, space, number, last_chunk, project_id, vector_store_id, embedding)
SELECT ingestion, position, %(space)s, 0, position, %(project)s, %(store)s, embedding || store_code(%(store)s)
FROM draft"""

_EXACT = text("""
WITH near AS MATERIALIZED (
  SELECT concat(ingestion, '-', chunk) AS id, subvector(embedding, 1, :dimensions) <=> CAST(:vector AS halfvec) AS far
  FROM passages WHERE vector_store_id = :store)
SELECT id FROM near ORDER BY far LIMIT 10""")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of searching in a store of so many chunks, in milliseconds: by vectors alone, with their recall@10 against a look
    at each of them; and with words.
    """

    chunks: int
    p50: float
    p95: float
    recall: float
    p50_words: float
    p95_words: float


class Topics:
    """What texts are about."""

    def __init__(self, seed: int = 7) -> None:
        self.random = np.random.default_rng(seed)
        self._centres = self._unit(TOPICS)
        self._common = self._unit(1)
        self._axes = np.asarray(self.random.standard_normal((TOPICS, SPREAD, DIMENSIONS)), np.float32)

    def draw(self, own: Sequence[int], number: int) -> Vectors:
        """Vectors of length 1 about these topics."""
        first, second = self.random.choice(own, (2, number))
        share = self.random.uniform(0.5, 1, (number, 1)).astype(np.float32)
        mixed = share * self._centres[first] + (1 - share) * self._centres[second]
        along = self.random.standard_normal((number, SPREAD)).astype(np.float32)
        spread = np.einsum("ns,nsd->nd", along, self._axes[first]) / np.sqrt(SPREAD * DIMENSIONS)
        noise = self.random.standard_normal((number, DIMENSIONS)) / np.sqrt(DIMENSIONS)
        vectors = 0.35 * self._common + 0.6 * mixed + 0.5 * spread + 0.35 * noise
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def _unit(self, number: int) -> Vectors:
        vectors = self.random.standard_normal((number, DIMENSIONS))
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


async def measure(url: str, sizes: Sequence[int], queries: int) -> list[Cost]:
    """Fill a database with our schema with a store of each size, and then search in each of them."""
    topics, known = Topics(), dict[str, Vectors]()
    spaces = Spaces(Known(known))
    owns = {f"vs_{size}": topics.random.choice(TOPICS, OWN, replace=False).tolist() for size in sizes}
    async with Database(url) as database:
        space = await spaces.begin(database, DIMENSIONS)
        for size, store in zip(sizes, owns, strict=True):
            files = {"project": PROJECT, "store": store, "files": -(-size // PER_FILE), "per_file": PER_FILE}
            await database.all(_STORE, {**files, "space": space})
        with psycopg.connect(url, autocommit=True) as connection:
            _fill(connection, space, topics, {store: (int(store[3:]), own) for store, own in owns.items()})
        await database.all(text(index(space, DIMENSIONS)))
        await database.all(text("VACUUM (ANALYZE)"))
        return [
            await _cost(database, Searcher(spaces), topics, store, own, known, queries) for store, own in owns.items()
        ]


def _fill(
    connection: "psycopg.Connection[Any]", space: int, topics: Topics, stores: Mapping[str, tuple[int, Sequence[int]]]
) -> None:
    """Indexes are made last, and all at once: that takes minutes, not hours."""
    near = SQL("DROP INDEX {}").format(Identifier(f"passages_near_{space}"))
    connection.execute(near)
    connection.execute("DROP INDEX chunks_search")
    connection.execute(_DRAFT)
    words = Vocabulary()
    for store, (size, own) in stores.items():
        into = {"project": PROJECT, "store": store, "space": space}
        for first in range(0, size, AT_ONCE):
            connection.execute("TRUNCATE draft")
            vectors = topics.draw(own, min(AT_ONCE, size - first))
            with connection.cursor().copy("COPY draft FROM STDIN") as copy:
                for number, vector in enumerate(vectors, first):
                    file, position = divmod(number, PER_FILE)
                    copy.write_row((f"{store}_{file + 1}", position + 1, words.text(WORDS), literal(vector)))
            connection.execute(_CHUNKS, into)
            connection.execute(_PASSAGES, into)
    connection.execute("CREATE INDEX chunks_search ON chunks USING gin (search)")


async def _cost(
    database: Database,
    searcher: Searcher,
    topics: Topics,
    store: str,
    own: Sequence[int],
    known: dict[str, Vectors],
    queries: int,
) -> Cost:
    """The first questions warm up; those without words have one that no text has."""
    words, found, took, took_words = Vocabulary(), list[float](), list[float](), list[float]()
    for number, vector in enumerate(topics.draw(own, queries)):
        bare, spoken = f"question{number}", f"{words.text(ASKED_WORDS)} question{number}"
        known[bare] = known[spoken] = vector
        began = time.perf_counter()
        rows = await searcher.search(database, PROJECT, [store], [bare])
        took.append(time.perf_counter() - began)
        began = time.perf_counter()
        await searcher.search(database, PROJECT, [store], [spoken])
        took_words.append(time.perf_counter() - began)
        exact = {"dimensions": DIMENSIONS, "vector": literal(vector), "store": store}
        nearest = {row["id"] for row in await database.all(_EXACT, exact)}
        found.append(len(nearest & {row["chunk_id"] for row in rows}) / len(nearest))
    warm = queries // 5
    spread = [*np.percentile(took[warm:], [50, 95]), *np.percentile(took_words[warm:], [50, 95])]
    p50, p95, p50_words, p95_words = (float(value) * 1000 for value in spread)
    return Cost(int(store[3:]), p50, p95, float(np.mean(found)), p50_words, p95_words)


class Vocabulary:
    """Words as frequent as in a language: the n-th is n times as rare as the first."""

    def __init__(self, seed: int = 11) -> None:
        self._random = random.Random(seed)
        self._words = ["".join(self._random.choices(string.ascii_lowercase, k=7)) for _ in range(VOCABULARY)]
        self._weights = list(np.cumsum(1 / np.arange(1, VOCABULARY + 1)))

    def text(self, words: int) -> str:
        """So many words."""
        return " ".join(self._random.choices(self._words, cum_weights=self._weights, k=words))


def literal(vector: Vectors) -> str:
    """As Postgres reads it."""
    return "[" + ",".join(f"{number:.5f}" for number in vector) + "]"


def table(costs: Sequence[Cost]) -> Iterator[str]:
    """The figures, next to what was asked for."""
    yield f"{'chunks':>10}{'p50 ms':>9}{'p95 ms':>9}{'recall@10':>11}{'p50 words':>11}{'p95 words':>11}"
    for cost in costs:
        times = f"{cost.p50:9.1f}{cost.p95:9.1f}{cost.recall:11.3f}{cost.p50_words:11.1f}{cost.p95_words:11.1f}"
        yield f"{cost.chunks:10}{times}"
    yield "asked for: at 100,000 p95 of at most 30 ms with a recall of .95; at 1,000,000 at most 3 times that of 10,000"
