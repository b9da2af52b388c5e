"""A system with everything: the code interpreter as well."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from infra.embedded.postgres import Postgres
from tests.removals.stage import Stage
from tests.sandbox.service import SandboxService, lent
from tests.scripted_model import ScriptedModel
from tests.system import Project, System, create_database, redis_apart


@pytest.fixture(scope="package")
def service() -> Iterator[SandboxService]:
    with lent(warm=1, memory_mb=512) as started:
        yield started


@pytest.fixture(scope="package")
def system(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, service: SandboxService
) -> Iterator[System]:
    root = room / "removals"
    root.mkdir()
    url = create_database(postgres.url, "removals")
    made = System(root, url, redis_apart(redis_url), model.base_url, service.told, sealed=False)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant


@pytest.fixture
async def stage(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage.of(postgres, tmp_path) as made:
        yield made
