"""The migrations make the tables that the code declares, and undo them."""

import asyncio

import psycopg
from alembic import command
from psycopg import sql

from infra.embedded.postgres import Postgres
from shared.audit.actor import command_line
from shared.database import Database
from shared.migrations import config
from shared.projects import keys
from shared.projects.hashes import digest
from shared.projects.scopes import OF_PROJECTS
from shared.table import Page
from tests.system import create_database


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(sql.SQL("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).fetchall()
    return {name for (name,) in rows} - {"alembic_version"}


def test_tables_are_as_they_are_declared(postgres: Postgres) -> None:
    """Raises with the differences in columns and indexes, if there are any."""
    command.check(config(create_database(postgres.url, "declared")))


def test_each_migration_can_be_undone(postgres: Postgres) -> None:
    url = create_database(postgres.url, "undone")
    before = tables(url)

    command.downgrade(config(url), "base")
    assert tables(url) == set()
    command.upgrade(config(url), "head")

    assert tables(url) == before


async def test_keys_from_before_there_were_service_accounts(postgres: Postgres) -> None:
    """They open what they opened, belong to an account of their own, and may be revoked."""
    url = create_database(postgres.url, "older_keys")
    await asyncio.to_thread(command.downgrade, config(url), "0010")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO projects (id, name) VALUES ('proj_1', 'older')")
        values = [("key_1", "proj_1", digest("one"), "o…e"), ("key_2", "proj_1", digest("two"), "t…o")]
        connection.cursor().executemany(
            "INSERT INTO api_keys (id, project_id, hash, hint) VALUES (%s, %s, %s, %s)", values
        )
    await asyncio.to_thread(command.upgrade, config(url), "head")

    async with Database(url, pool_size=2) as db:
        for value in ("one", "two"):
            known = await keys.recognise(db, digest(value))
            assert known is not None
            assert (known.project_id, known.scopes) == ("proj_1", OF_PROJECTS)
        rows = (await keys.page(db, "proj_1", Page(order="asc"))).rows
        assert [(row["id"], row["owner"]["id"]) for row in rows] == [
            ("key_1", "svc_acct_1"),
            ("key_2", "svc_acct_2"),
        ]
        await keys.remove(db, command_line(), "proj_1", "key_1")
        assert await keys.recognise(db, digest("one")) is None


OLDER_VECTORS = (
    "INSERT INTO projects (id, name) VALUES ('proj_1', 'older')",
    "INSERT INTO vector_stores (id, project_id) VALUES ('vs_1', 'proj_1')",
    """INSERT INTO files (id, project_id, filename, purpose, bytes, sha256)
    VALUES ('file-1', 'proj_1', 'a.txt', 'assistants', 0, '')""",
    """INSERT INTO embedding_spaces (model, dimensions, "window") VALUES ('first', 2, 50)""",
    """CREATE INDEX passages_near_1 ON passages
    USING hnsw ((CAST(embedding AS halfvec(34))) halfvec_cosine_ops) WHERE space = 1""",
    """INSERT INTO vector_store_files (vector_store_id, id, project_id, ingestion, max_chunk_size_tokens,
      chunk_overlap_tokens, stage, status, finished_at, chunks, space)
    VALUES ('vs_1', 'file-1', 'proj_1', 'one', 800, 400, 'read', 'completed', now(), 500, 1)""",
    """INSERT INTO chunks (ingestion, position, project_id, vector_store_id, text, tokens, begins, ends, search)
    SELECT 'one', n, 'proj_1', 'vs_1', concat('chunk ', n), 1, 0, 1, '' FROM generate_series(1, 500) AS n""",
    """INSERT INTO passages (ingestion, chunk, space, number, last_chunk, project_id, vector_store_id, embedding)
    VALUES ('one', 1, 1, 0, 1, 'proj_1', 'vs_1', l2_normalize('[3,4]'::halfvec) || store_code('vs_1'))""",
)


async def test_vectors_from_before_large_stores_had_indexes(postgres: Postgres) -> None:
    """They lose what told their store, and are counted; the index of all stores goes; and back."""
    url = create_database(postgres.url, "older_vectors")
    await asyncio.to_thread(command.downgrade, config(url), "0012")
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in OLDER_VECTORS:
            connection.execute(sql.SQL(statement))
    sampled = "SELECT count(*) FROM chunks WHERE search @@ CAST(quote_literal('vs_1*') AS tsquery)"

    await asyncio.to_thread(command.upgrade, config(url), "head")
    with psycopg.connect(url, autocommit=True) as connection:
        told = connection.execute("SELECT vector_dims(embedding), embedding <=> '[3,4]' < 0.001 FROM passages")
        assert told.fetchall() == [(2, True)]
        assert connection.execute("SELECT passages FROM vector_store_files").fetchall() == [(1,)]
        assert connection.execute("SELECT FROM pg_class WHERE relname = 'passages_near_1'").fetchall() == []
        ((chunks,),) = connection.execute(sampled).fetchall()
        assert 1 < chunks < 30  # of 500, one of 64

    await asyncio.to_thread(command.downgrade, config(url), "0012")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT vector_dims(embedding) FROM passages").fetchall() == [(34,)]
        assert connection.execute(sampled).fetchall() == [(0,)]
