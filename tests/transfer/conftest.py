"""Two systems: what is exported from one is imported into the other."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from infra.embedded.postgres import Postgres
from tests.scripted_model import ScriptedModel
from tests.system import Project, System, create_database, redis_apart


def _system(name: str, room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    root = room / name
    root.mkdir()
    made = System(root, create_database(postgres.url, name), redis_apart(redis_url), model.base_url)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="package")
def here(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    yield from _system("here", room, postgres, redis_url, model)


@pytest.fixture(scope="package")
def there(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    yield from _system("there", room, postgres, redis_url, model)


@pytest.fixture
async def project(here: System) -> AsyncIterator[Project]:
    async with Project.of(here) as tenant:
        yield tenant
