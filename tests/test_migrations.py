"""The migrations make the tables that the code declares, and undo them."""

import psycopg
from alembic import command
from psycopg import sql

from infra.embedded.postgres import Postgres
from shared.migrations import config
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
