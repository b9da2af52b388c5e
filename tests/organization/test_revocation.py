"""Whatever a key opened, it opens on no process a second after it was revoked, or its project archived."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx2
import pytest

from tests.organization.conftest import Admin
from tests.system import System

WITHIN_S = 1.0


@dataclass(frozen=True)
class Two:
    """The addresses of two API processes on the same servers."""

    addresses: tuple[str, str]

    async def last_opened_at(self, key: str, close: Callable[[], Awaitable[None]]) -> dict[str, float]:
        """Use the key at both without a pause, close it meanwhile, go on until both refuse. By address: how many
        seconds after it was closed the last request began that was let in.
        """
        closed_at = 0.0
        last: dict[str, float] = {}
        in_use = {address: asyncio.Event() for address in self.addresses}

        async def use(address: str) -> None:
            headers = {"authorization": f"Bearer {key}"}
            async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
                while True:
                    began = time.monotonic()
                    answer = await client.get("/assistants")
                    if answer.status_code == 401:
                        return
                    answer.raise_for_status()
                    last[address] = began
                    in_use[address].set()

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for address in self.addresses:
                group.create_task(use(address))
            for event in in_use.values():
                await event.wait()
            await close()
            closed_at = time.monotonic()
        return {address: began - closed_at for address, began in last.items()}


@pytest.fixture(scope="module")
async def two(system: System) -> AsyncIterator[Two]:
    first = system.base_url
    process = system.spawn_api()
    second, system.base_url = system.base_url, first
    await asyncio.to_thread(process.wait_until_ready)
    yield Two((first, second))
    process.stop()
    system.processes.remove(process)


async def test_a_revoked_key(two: Two, admin: Admin) -> None:
    projects = admin.client.admin.organization.projects
    project = await admin.project()
    account = await projects.service_accounts.create(project_id=project, name="a")
    assert account.api_key is not None
    key = account.api_key

    async def close() -> None:
        await projects.api_keys.delete(key.id, project_id=project)

    after = await two.last_opened_at(key.value, close)

    assert after.keys() == set(two.addresses)
    assert max(after.values()) <= WITHIN_S


async def test_a_deleted_service_account(two: Two, admin: Admin) -> None:
    accounts = admin.client.admin.organization.projects.service_accounts
    project = await admin.project()
    account = await accounts.create(project_id=project, name="a")
    assert account.api_key is not None

    async def close() -> None:
        await accounts.delete(account.id, project_id=project)

    assert max((await two.last_opened_at(account.api_key.value, close)).values()) <= WITHIN_S


async def test_an_archived_project(two: Two, admin: Admin, system: System) -> None:
    key = await system.key("to be archived")
    ((project,),) = system.query("SELECT id FROM projects WHERE name = 'to be archived'")

    async def close() -> None:
        await admin.client.admin.organization.projects.archive(project)

    assert max((await two.last_opened_at(key, close)).values()) <= WITHIN_S


async def test_a_key_that_ends_while_it_is_in_use(two: Two, admin: Admin) -> None:
    accounts = admin.client.admin.organization.projects.service_accounts
    project = await admin.project()
    account = await accounts.create(project_id=project, name="a", create_service_account_only=True)
    key = await accounts.api_keys.create(account.id, project_id=project, expires_in_seconds=2)

    async def close() -> None:
        assert key.expires_at is not None
        await asyncio.sleep(max(0.0, key.expires_at - time.time()))  # its end is what is waited for

    assert max((await two.last_opened_at(key.value, close)).values()) <= WITHIN_S
