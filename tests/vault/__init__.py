"""A database for keys, and what is stored in the tests of them."""

from collections.abc import AsyncIterator

import psycopg

from infra.embedded.postgres import Postgres
from shared import ids
from shared.files.storage import BlobStore
from tests.system import create_database

PROJECT, OTHER = "proj_one", "proj_two"


def project_database(postgres: Postgres) -> str:
    """The URL of a migrated database with two projects."""
    url = create_database(postgres.url, ids.new("proj").lower())
    with psycopg.connect(url, autocommit=True) as connection:
        for project_id in (PROJECT, OTHER):
            connection.execute("INSERT INTO projects (id, name) VALUES (%s, %s)", (project_id, project_id))
    return url


async def pieces(whole: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for first in range(0, len(whole), size):
        yield whole[first : first + size]


async def everything(store: BlobStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.open(key)])
