"""The migrations make the tables that the code declares, and undo them."""

import asyncio

import psycopg
from alembic import command
from psycopg import sql

from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.migrations import config
from shared.projects import keys
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
        values = [("key_1", "proj_1", keys.digest("one"), "o…e"), ("key_2", "proj_1", keys.digest("two"), "t…o")]
        connection.cursor().executemany(
            "INSERT INTO api_keys (id, project_id, hash, hint) VALUES (%s, %s, %s, %s)", values
        )
    await asyncio.to_thread(command.upgrade, config(url), "head")

    async with Database(url, pool_size=2) as db:
        for value in ("one", "two"):
            known = await keys.recognise(db, keys.digest(value))
            assert known is not None
            assert (known.project_id, known.scopes) == ("proj_1", OF_PROJECTS)
        rows = (await keys.page(db, "proj_1", Page(order="asc"))).rows
        assert [(row["id"], row["owner"]["id"]) for row in rows] == [
            ("key_1", "svc_acct_1"),
            ("key_2", "svc_acct_2"),
        ]
        await keys.remove(db, "proj_1", "key_1")
        assert await keys.recognise(db, keys.digest("one")) is None
