"""A system that nobody else uses, so that what it counts is what a test did."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from infra.embedded.postgres import Postgres
from tests.metrics.stage import Measured
from tests.ports import free_port
from tests.scripted_model import ScriptedModel
from tests.system import Project, create_database, redis_apart


@pytest.fixture(scope="module")
def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[Measured]:
    root = room / "measured"
    root.mkdir()
    settings = {"ASSISTANTD_LEASE_DURATION": "1", "ASSISTANTD_MODEL_PAUSE": "0"}
    made = Measured(root, create_database(postgres.url, "measured"), redis_apart(redis_url), model.base_url, settings)
    made.api_port, made.worker_port = free_port(), free_port()
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def project(system: Measured) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant
