"""Real servers for the session, a system of real processes on them, a scripted model, a project for each test."""

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.postgres import Postgres
from infra.embedded.valkey import Valkey
from tests.conformance import coverage
from tests.conformance.part import Part
from tests.scripted_model import ScriptedModel
from tests.system import Project, System, create_database

for _variable in [name for name in os.environ if name.startswith(("ASSISTANTD_", "OPENAI_", "AWS_"))]:
    del os.environ[_variable]  # a developer's own settings would decide what is tested

ROOMY = 12 * 1024**3  # bytes: three times what the suite fills
LAST = "test_coverage.py"  # judges what all the others have called


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == LAST)


def pytest_sessionfinish(session: pytest.Session) -> None:
    called = coverage.called({item.nodeid.partition("::")[0] for item in session.items})
    if session.config.option.collectonly or not called:
        return
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:  # one of two processes tells the one that started both
        output["called"] = coverage.plain(called)
    else:
        coverage.save(called, Part.of(session.config))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    coverage.hear(getattr(node, "workeroutput", {}).get("called", {}))  # one that crashed has told nothing


def _in_memory() -> Path | None:
    """Where files cost no disk: hundreds of databases have very many of them. None where that is too small."""
    shared_memory = Path("/dev/shm")
    roomy = shared_memory.is_dir() and shutil.disk_usage(shared_memory).free > ROOMY
    return shared_memory if roomy and os.access(shared_memory, os.W_OK) else None


@pytest.fixture(scope="session")
def room() -> Iterator[Path]:
    """A directory that servers without privileges can reach; pytest's own can't be."""
    directory = Path(tempfile.mkdtemp(prefix="assistantd-tests-", dir=_in_memory()))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(room: Path) -> Iterator[Postgres]:
    server = Postgres(room / "postgres", settings={"fsync": "off"})  # processes are killed here, no machine is
    server.start()
    yield server
    server.stop_signal = signal.SIGQUIT  # at once: nothing of it is needed any more
    server.stop()


@pytest.fixture(scope="session")
def valkey(room: Path) -> Iterator[Valkey]:
    server = Valkey(room / "valkey")
    server.databases = 128  # one for each system that must not hear of another's
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_url(valkey: Valkey) -> str:
    return valkey.url


@pytest.fixture(scope="session")
def database_url(postgres: Postgres) -> str:
    """A database with our schema and nothing in it but what tests put there under projects of their own."""
    return create_database(postgres.url, "tests")


@pytest.fixture(scope="session")
async def model() -> AsyncIterator[ScriptedModel]:
    scripted = ScriptedModel()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture(scope="session")
async def system(room: Path, database_url: str, redis_url: str, model: ScriptedModel) -> AsyncIterator[System]:
    """One API process and one worker that tests share; faults have systems of their own."""
    root = room / "system"
    root.mkdir()
    shared = System(root, database_url, redis_url, model.base_url)
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    """A tenant of the test's own."""
    async with Project.of(system) as tenant:
        yield tenant
