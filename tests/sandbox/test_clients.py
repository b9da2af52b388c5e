"""Several services: which one a session lives in."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.ports import free_port
from tests.sandbox.calls import run, until_busy
from tests.sandbox.service import SandboxService, require
from worker.sandbox.client import SandboxClient, SandboxSession, UnavailableError
from worker.sandbox.clients import SandboxClients
from worker.sandbox.errors import NotFoundError

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


async def test_a_service_that_is_about_to_end_passes_its_sessions_on(services: list[SandboxService]) -> None:
    one, other = services
    clients = SandboxClients([one.url, other.url], SECRET)
    async with SandboxClient(one.url, SECRET) as client:
        busy, idle = await _open_in(client, clients), await _open_in(client, clients)
        calling = asyncio.create_task(run(busy, "import time\ntime.sleep(60)"))
        await until_busy(client, busy)
        one.signal(signal.SIGTERM)
        while (await client.health())["status"] != "draining":
            pass
        moved = await clients.open(idle.id)
        assert (await run(moved, "'there'")).text("result") == "'there'\n"
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
    await clients.close()


async def _open_in(client: SandboxClient, clients: SandboxClients) -> SandboxSession:
    """A new session that lives in the service of `client`."""
    while True:
        session = await clients.open(uuid4().hex)
        with suppress(NotFoundError):
            await client.ask("GET", f"/sessions/{session.id}")
            return session


async def test_nobody_answers() -> None:
    clients = SandboxClients([f"http://127.0.0.1:{free_port()}" for _ in range(2)], SECRET)
    with pytest.raises(UnavailableError, match="does not answer"):
        await clients.open("thread")
    await clients.close()
