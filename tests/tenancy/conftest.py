"""A database with the rows of two projects."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from infra.embedded.postgres import Postgres
from shared import ids
from shared.database import Database
from tests.system import create_database
from tests.tenancy.rows import MINE, THEIRS, fill


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    async with Database(create_database(postgres.url, ids.new("key").lower()), pool_size=3) as connected:
        await fill(connected, MINE, THEIRS)
        yield connected


@pytest.fixture
async def lavish(database: Database) -> Database:
    """The same, where tenants may do anything to any table: nothing but the policies is in their way."""
    await database.all(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO assistantd_tenant"))
    return database
