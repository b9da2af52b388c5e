"""Several services: which one a session lives in."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from infra.embedded.process import free_port
from tests.sandbox.service import SandboxService, require
from worker.sandbox.client import SandboxClient, UnavailableError
from worker.sandbox.clients import SandboxClients

SECRET = "a secret that both of them know"
THREADS = [f"thread_{number}" for number in range(8)]


@pytest.fixture
def services(place: Path) -> Iterator[list[SandboxService]]:
    require("bwrap")
    started: list[SandboxService] = []
    for _ in range(2):
        root = place / uuid4().hex
        root.mkdir(mode=0o711)
        started.append(SandboxService(root, secret=SECRET, warm=0).start())
    yield started
    for service in started:
        service.stop()


async def opened(urls: list[str]) -> dict[str, str]:
    """Generations by thread, as a worker with these addresses finds or makes them."""
    clients = SandboxClients(urls, SECRET)
    try:
        return {thread: (await clients.open(thread)).generation for thread in THREADS}
    finally:
        await clients.close()


async def count(service: SandboxService) -> int:
    async with SandboxClient(service.url, SECRET) as client:
        return (await client.health())["sessions"]


async def test_every_worker_finds_a_session_where_it_is(services: list[SandboxService]) -> None:
    one, other = services
    found = await opened([one.url, other.url])
    assert await opened([other.url, one.url]) == found
    counts = [await count(one), await count(other)]
    assert sum(counts) == len(THREADS)


async def test_sessions_of_a_service_that_is_gone_are_made_anew_and_no_others(services: list[SandboxService]) -> None:
    one, other = services
    urls = [one.url, other.url]
    before = await opened(urls)
    there = await count(other)
    one.stop()

    after = await opened(urls)

    assert sum(before[thread] == after[thread] for thread in THREADS) == there
    assert await count(other) == len(THREADS)


async def test_nobody_answers() -> None:
    clients = SandboxClients([f"http://127.0.0.1:{free_port()}" for _ in range(2)], SECRET)
    with pytest.raises(UnavailableError, match="does not answer"):
        await clients.open("thread")
    await clients.close()
