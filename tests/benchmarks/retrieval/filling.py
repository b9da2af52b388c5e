"""Filling a database with stores of made-up chunks, by the hundred thousand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, cast

import psycopg
from psycopg.sql import SQL, Literal

from shared.vector_stores.ranking import INDEXED_WORDS
from tests.benchmarks.retrieval.synthetic import Topics, Vocabulary, binary

AT_ONCE = 5_000
PER_FILE = 100
WORDS = 40
PROJECT = "proj_scale"

_STORE = """
WITH store AS (INSERT INTO vector_stores (id, project_id, name) VALUES (%(store)s, %(project)s, %(store)s)),
  numbered AS (SELECT concat(%(store)s::text, '_', n) AS id, n FROM generate_series(1, %(files)s) AS n),
  file AS (
  INSERT INTO files (id, project_id, filename, purpose, bytes, sha256)
  SELECT id, %(project)s, 'a.txt', 'assistants', 0, id FROM numbered)
INSERT INTO vector_store_files (vector_store_id, id, project_id, ingestion, max_chunk_size_tokens, chunk_overlap_tokens,
  stage, status, finished_at, chunks, passages, space, attributes)
SELECT %(store)s, id, %(project)s, id, 800, 400, 'read', 'completed', now(), %(per_file)s, %(per_file)s, %(space)s,
  jsonb_build_object('part', (n - 1) %% 100) FROM numbered"""

_DRAFT = "CREATE TEMPORARY TABLE draft (ingestion text, position int, text text, embedding halfvec)"

_CHUNKS = f"""
INSERT INTO chunks (ingestion, position, project_id, vector_store_id, text, tokens, begins, ends, search)
SELECT ingestion, position, {{project}}, {{store}}, text, 800, 0, length(text), {
    INDEXED_WORDS.format(language="'english'", text="text", store="{store}::text")
} FROM draft"""

_PASSAGES = """
INSERT INTO passages (ingestion, chunk, space, number, last_chunk, project_id, vector_store_id, embedding)
SELECT ingestion, position, {space}, 0, position, {project}, {store}, l2_normalize(embedding) FROM draft"""


@dataclass(frozen=True, slots=True)
class Store:
    """One of so many chunks, each with one vector, about its own topics. A hundredth of its files are `part` 0."""

    id: str
    chunks: int
    topics: Sequence[int]


def fill(url: str, space: int, topics: Topics, stores: Sequence[Store]) -> None:
    """The index of words is made last, and references are not looked up: that takes minutes, not hours."""
    words = Vocabulary()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DROP INDEX chunks_search")
        connection.execute("INSERT INTO projects (id, name) VALUES (%s, 'scale')", [PROJECT])
        connection.execute(_DRAFT)
        for store in stores:
            _fill_one(connection, space, topics, words, store)
        connection.execute("CREATE INDEX chunks_search ON chunks USING gin (search)")
        connection.execute("VACUUM (ANALYZE)")


def _fill_one(
    connection: "psycopg.Connection[Any]", space: int, topics: Topics, words: Vocabulary, store: Store
) -> None:
    files = {"files": -(-store.chunks // PER_FILE), "per_file": min(PER_FILE, store.chunks)}
    connection.execute(_STORE, {"store": store.id, "project": PROJECT, "space": space, **files})
    into = {"store": Literal(store.id), "project": Literal(PROJECT), "space": Literal(space)}
    for first in range(0, store.chunks, AT_ONCE):
        connection.execute("TRUNCATE draft")
        vectors = topics.draw(store.topics, min(AT_ONCE, store.chunks - first))
        with connection.cursor().copy("COPY draft FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["text", "int4", "text", "bytea"])
            for number, vector in enumerate(vectors, first):
                file, position = divmod(number, PER_FILE)
                copy.write_row((f"{store.id}_{file + 1}", position + 1, words.text(WORDS), binary(vector)))
        for statement in (_CHUNKS, _PASSAGES):
            connection.execute(SQL(cast("LiteralString", statement)).format(**into))
