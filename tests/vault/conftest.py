"""Databases for keys, and whoever keeps master keys."""

from collections.abc import AsyncIterator, Callable

import pytest

from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.vault.masters import MasterKeys, Masters
from shared.vault.vault import Vault
from tests.vault import project_database
from tests.vault.kms import Kms

Process = Callable[..., Vault]


@pytest.fixture
def url(postgres: Postgres) -> str:
    return project_database(postgres)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with Database(url, pool_size=8) as connected:
        yield connected


@pytest.fixture
async def kms() -> AsyncIterator[Kms]:
    async with Kms() as started:
        yield started


@pytest.fixture(params=["settings", "a service"])
def process(request: pytest.FixtureRequest, database: Database, kms: Kms) -> Process:
    """A vault with these master keys, as another process has it: nothing is remembered."""

    def begun(*keys: bytes) -> Vault:
        masters: Masters = MasterKeys(keys) if request.param == "settings" else kms.lend(*keys)
        return Vault(database, masters)

    return begun
