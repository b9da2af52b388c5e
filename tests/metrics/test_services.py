"""What the code interpreter's service and the embedder tell Prometheus."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from tests.metrics.scrape import value
from tests.ports import free_port
from tests.sandbox.calls import run
from tests.sandbox.service import SandboxService, require
from tests.system import System
from worker.sandbox.errors import LostError


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users can enter: root's sessions are other users."""
    directory = Path(tempfile.mkdtemp(prefix="assistantd-sandbox-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


async def test_the_sandbox_tells_how_full_it_is(place: Path) -> None:
    require("bwrap")
    port = free_port()
    service = SandboxService(place, warm=1, capacity=3, metrics_port=port).start()
    try:
        async with service.client() as client:
            session = await client.open(f"thread_{uuid4().hex}")
            await run(session, "1 / 0")
            assert value(port, "assistantd_sandbox_sessions", state="alive") == 1
            assert value(port, "assistantd_sandbox_sessions", state="busy") == 0
            assert value(port, "assistantd_sandbox_capacity") == 3
            assert value(port, "assistantd_sandbox_calls_total", status="error") == 1

            await client.end(session.id)
            with pytest.raises(LostError):
                await run(session, "1")

        assert value(port, "assistantd_sandbox_sessions", state="alive") == 0
        assert value(port, "assistantd_sandbox_sessions_ended_total", reason="closed") == 1
        assert value(port, "assistantd_sandbox_refused_total", code="lost") == 1
    finally:
        service.stop()


async def test_the_embedder_counts_texts(tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port()
    system = System(tmp_path, "postgresql://", "redis://", "http://127.0.0.1:1/v1")
    embedder = system.spawn("embedder", "--port", str(port), metrics_port=str(metrics_port), embedding_api_key="key")
    embedder.wait_until_ready()
    try:
        async with httpx2.AsyncClient(headers={"authorization": "Bearer key"}) as http:
            answer = await http.post(f"http://127.0.0.1:{port}/v1/embeddings", json={"input": ["one", "two"]})
        assert answer.status_code == 200
        assert value(metrics_port, "assistantd_embedder_texts_total") == 2
        assert value(metrics_port, "assistantd_embedder_request_duration_seconds_count") == 1
    finally:
        system.stop()
