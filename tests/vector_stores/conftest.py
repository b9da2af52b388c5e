"""A stage for each test of the ingestion."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from infra.embedded.postgres import Postgres
from shared import ids
from shared.audit.actor import command_line
from shared.database import Database
from shared.limits.windows import Windows
from shared.projects import keys
from shared.queue import Doorbell
from shared.redis import Outbox
from shared.settings import Settings
from shared.usage.prices import PriceList
from shared.vector_stores import commands as stores
from shared.vector_stores.search import Searcher
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import create_database, redis_apart
from tests.vector_stores.stage import LEASE, GatedStore, Stage
from tests.vector_stores.vectors import spaces
from worker.deps import Deps
from worker.ingest.children import Children
from worker.ingest.slots import Slots
from worker.models.client import ModelClient
from worker.runs.leftovers import Leftovers
from worker.runs.live import Live
from worker.runs.quota import Quota


@pytest.fixture(scope="module")
def apart(redis_url: str) -> str:
    """A Redis that no worker listens to."""
    return redis_apart(redis_url)


@pytest.fixture
async def stage(postgres: Postgres, apart: str, tmp_path: Path) -> AsyncIterator[Stage]:
    url = create_database(postgres.url, ids.new("key").lower())
    settings = Settings(database_url=url, redis_url=apart, lease_duration=LEASE, model_base_url="http://127.0.0.1:1/v1")
    store, outbox, model = GatedStore(tmp_path), Outbox(apart), ModelClient(settings)
    async with Database(url, pool_size=5) as database:
        await keys.create(database, command_line(), "mine")
        project = await database.one(text("SELECT id FROM projects"))
        assert project is not None
        made = await stores.create(database, project["id"], {}, [], "english")
        deps = Deps(
            settings=settings,
            owner="first",
            system=database,
            database=database,
            vital=database,
            outbox=outbox,
            windows=Windows(apart),
            doorbell=Doorbell(outbox),
            model=model,
            searcher=Searcher(),
            sandbox=None,
            store=store,
            leftovers=Leftovers(),
            prices=PriceList.load(None),
            quota=Quota(),
            live=Live(LEASE),
            ingesting=Live(LEASE),
            slots=Slots(),
            readers=Children(),
        )
        yield Stage(deps, store, database, project["id"], made["id"])
        await deps.readers.close()
    await model.close()
    await outbox.close()


@pytest.fixture
async def embeddings() -> AsyncIterator[ScriptedEmbeddings]:
    scripted = ScriptedEmbeddings("automobile car vehicle", "apples fruit")
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
async def deps(stage: Stage, embeddings: ScriptedEmbeddings) -> AsyncIterator[Deps]:
    """Those of a worker that has an embedding model."""
    stage.store.gate.set()
    made = spaces(stage, embeddings)
    yield replace(stage.deps, searcher=Searcher(made))
    await made.model.close()
