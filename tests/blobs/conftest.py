"""Both stores, empty."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.files.sealed import SealedStore
from shared.files.storage import BlobStore, LocalStore
from shared.vault.masters import MasterKeys
from shared.vault.vault import Vault
from tests.bucket import Bucket, new_bucket, s3_server
from tests.vault import PROJECT, project_database


@pytest.fixture(scope="session")
def s3_url(room: Path) -> Iterator[str]:
    with s3_server(room / "s3.log") as url:
        yield url


@pytest.fixture
async def bucket(s3_url: str) -> Bucket:
    return await new_bucket(s3_url)


@pytest.fixture(scope="session")
def keys_url(postgres: Postgres) -> str:
    """A database with a project, for keys of stores that seal."""
    return project_database(postgres)


@pytest.fixture(params=["local", "s3"])
async def depot(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    """Where bytes lie."""
    made: BlobStore = LocalStore(tmp_path / "files")
    if request.param == "s3":
        made = (await new_bucket(request.getfixturevalue("s3_url"))).store()
    yield made
    await made.close()


@pytest.fixture(params=["as it lies", "plain", "sealed"])
async def store(request: pytest.FixtureRequest, depot: BlobStore, keys_url: str) -> AsyncIterator[BlobStore]:
    """The same as everybody but the doctor sees it, without keys and with some."""
    async with Database(keys_url, pool_size=2) as db:
        match request.param:
            case "plain":
                yield SealedStore(depot, None)
            case "sealed":
                yield SealedStore(depot, Vault(db, MasterKeys([bytes(32)]))).owned_by(PROJECT)
            case _:
                yield depot
