"""A system with a collector: real processes that are asked for traces by OpenTelemetry's own variables."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from infra.embedded.postgres import Postgres
from tests.sandbox.service import SandboxService, lent
from tests.scripted_model import ScriptedModel
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import Project, System, create_database, redis_apart
from tests.tracing.collector import Collector

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # milliseconds: a batch is sent that often

Build = Callable[..., System]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector().listening() as listening:
        yield listening


@pytest.fixture(scope="module")
def service() -> Iterator[SandboxService]:
    with lent(warm=1, memory_mb=512) as started:
        yield started


@pytest.fixture(scope="module")
async def embeddings() -> AsyncIterator[ScriptedEmbeddings]:
    made = ScriptedEmbeddings()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="module")
def build(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[Build]:
    """Makes systems with settings of their own; nothing of them is started."""
    made: list[System] = []

    def one(name: str, **settings: str) -> System:
        root = room / name
        root.mkdir()
        url = create_database(postgres.url, name)
        made.append(System(root, url, redis_apart(redis_url), model.base_url, {**SOON, **settings}))
        return made[-1]

    yield one
    for system in made:
        system.stop()


@pytest.fixture(scope="module")
def system(build: Build, collector: Collector, service: SandboxService, embeddings: ScriptedEmbeddings) -> System:
    made = build(
        "traced",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=ours",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=tests",
        ASSISTANTD_LOG_FORMAT="json",
        ASSISTANTD_EMBEDDING_BASE_URL=embeddings.base_url,
        ASSISTANTD_EMBEDDING_MODEL="scripted",
        ASSISTANTD_SANDBOX_URL=service.url,
        ASSISTANTD_SANDBOX_SECRET=service.secret,
        ASSISTANTD_MODEL_PAUSE="0",
        ASSISTANTD_TRACE_MODEL="true",
    )
    made.start()
    return made


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant
