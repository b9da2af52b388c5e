"""Keys are changed while clients talk: nothing is lost, nothing fails, and in the end the old keys are not needed."""

import asyncio
import base64
import os
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from infra.embedded.postgres import Postgres
from tests.scripted_model import ScriptedModel
from tests.system import ENCRYPTION_KEY, NotReady, Project, System, create_database, redis_apart
from tests.vault.clients import Clients
from tests.vault.test_commands import command

CHANGES = 3
ROWS = "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM runs), (SELECT count(*) FROM files)"


@pytest.fixture
def system(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, request: pytest.FixtureRequest
) -> Iterator[System]:
    """Whose keys are all changed, or forgotten in the end."""
    name = request.node.name
    root = room / name
    root.mkdir()
    made = System(root, create_database(postgres.url, name), redis_apart(redis_url), model.base_url)
    made.start()
    yield made
    made.stop()


@pytest.mark.timeout(240)
async def test_data_keys_are_changed_while_clients_talk(project: Project, system: System, model: ScriptedModel) -> None:
    clients = Clients(project.client, model)
    async with clients.busy():
        for _ in range(CHANGES):
            await clients.round()
            told = await command(system, "seal", "--new-keys")
            assert re.search(r"content: [1-9]\d* rows sealed.*\nfiles: [1-9]\d* sealed", told), told

    system.query("UPDATE data_keys SET retired_at = now() - interval '8 hours' WHERE retired_at IS NOT NULL")
    await command(system, "seal")  # what processes sealed by keys that they remembered, for a minute
    assert system.query("SELECT count(*) FROM data_keys WHERE retired_at IS NOT NULL") == [(0,)]
    async with another_api(system, project, ENCRYPTION_KEY) as client:
        clients.client = client
        await clients.everything_is_there()


@pytest.mark.timeout(240)
async def test_the_master_key_is_changed_while_clients_talk(
    project: Project, system: System, model: ScriptedModel
) -> None:
    """Step by step as infra/README.md has it, while new projects come, whose first keys are wrapped by whichever."""
    former, other = ENCRYPTION_KEY, base64.b64encode(os.urandom(32)).decode()
    clients = Clients(project.client, model)
    async with clients.busy():
        for keys in (f"{former},{other}", f"{other},{former}"):
            await clients.round()
            await roll(system, clients, keys)
            await newcomer(system, model)
        await clients.round()
        told = await command(system, "rewrap", keys=f"{other},{former}")
        assert re.match(r"[1-9]\d* data keys rewrapped by the master key ", told), told
        await clients.round()
        await roll(system, clients, other)
        await newcomer(system, model)
        await clients.round()

    assert "(former)" not in await command(system, "status", keys=other)
    async with another_api(system, project, other) as client:
        clients.client = client
        await clients.everything_is_there()
    await who_has_the_former_key_refuses(system, project, clients, former)
    async with another_api(system, project, other) as client:
        clients.client = client
        await clients.everything_is_there()


async def roll(system: System, clients: Clients, keys: str) -> None:
    """API and worker, one after the other, give way to one with these master keys; clients go to whoever is there."""
    system.settings = {**system.settings, "ASSISTANTD_ENCRYPTION_KEYS": keys}
    for spawn in (system.spawn_api, system.spawn_worker):
        here, former = system.base_url, [process for process in system.processes if process.popen.poll() is None]
        fresh = spawn()
        there, system.base_url = system.base_url, here
        await asyncio.to_thread(fresh.wait_until_ready)
        clients.client.base_url = system.base_url = there
        kind = fresh.log.name.partition("-")[0]
        for process in former:
            if process.log.name.startswith(kind):
                await asyncio.to_thread(process.stop)


async def newcomer(system: System, model: ScriptedModel) -> None:
    """A project that has had no key yet."""
    async with Project.of(system) as project:
        client = Clients(project.client, model)
        await client.converse()
        await client.store()
        await client.everything_is_there()


async def who_has_the_former_key_refuses(system: System, project: Project, clients: Clients, former: str) -> None:
    """A worker does not start. An API process starts, is not ready, and answers what needs the key so that clients
    try again elsewhere; nothing is written, and whoever has the key has everything.
    """
    with pytest.raises(NotReady, match="is not among ASSISTANTD_ENCRYPTION_KEYS"):
        await asyncio.to_thread(system.spawn_worker(encryption_keys=former).wait_until_ready)
    before = system.query(ROWS), stored(system)
    thread_id, file_id = next(iter(clients.said)), next(iter(clients.files))
    ((assistant_id,),) = system.query("SELECT assistant_id FROM runs WHERE thread_id = %s", thread_id)
    async with another_api(system, project, former) as client:
        for attempt in (
            client.beta.threads.messages.list(thread_id),
            client.beta.threads.messages.create(thread_id, role="user", content="Hi"),
            client.beta.threads.runs.create(thread_id, assistant_id=assistant_id),
            client.files.content(file_id),
            client.files.create(file=("a.txt", b"a"), purpose="assistants"),
        ):
            with pytest.raises(openai.InternalServerError) as error:
                await attempt
            assert error.value.status_code == 503, error.value
        async with httpx2.AsyncClient() as http:
            ready = await http.get(system.base_url.replace("/v1", "/readyz"))
            assert ready.status_code == 503, ready.text
    assert (system.query(ROWS), stored(system)) == before


def stored(system: System) -> int:
    """How many files lie in the store, whole or in parts."""
    return sum(path.is_file() for path in (system.root / "data" / "files").rglob("*"))


@asynccontextmanager
async def another_api(system: System, project: Project, keys: str) -> AsyncGenerator[AsyncOpenAI]:
    """An API process with these master keys that remembers no data key."""
    await asyncio.to_thread(system.spawn_api(encryption_keys=keys).wait_until_ready)
    async with Project.known(system, project.key) as known:
        yield known.client
