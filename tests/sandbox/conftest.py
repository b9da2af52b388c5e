"""One service a level for all tests; those that need settings of their own start another one."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.sandbox.service import SandboxService, require
from worker.sandbox.client import SandboxClient, SandboxSession


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A directory that other users can enter: root's sessions are other users."""
    directory = Path(tempfile.mkdtemp(prefix="assistantd-sandbox-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def service(place: Path) -> Iterator[SandboxService]:
    """At the default level, with limits that a test can reach quickly."""
    require("bwrap")
    root = place / "shared"
    root.mkdir(mode=0o711)
    started = SandboxService(root, warm=2, memory_mb=512, capacity=20).start()
    yield started
    assert started.stop() == 0


@pytest.fixture
async def client(service: SandboxService) -> AsyncIterator[SandboxClient]:
    async with service.client() as connected:
        yield connected


@pytest.fixture
async def session(client: SandboxClient) -> AsyncIterator[SandboxSession]:
    """A session of the test's own."""
    opened = await client.open(f"thread_{uuid4().hex}")
    yield opened
    await client.end(opened.id)
