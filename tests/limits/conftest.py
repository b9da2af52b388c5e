"""Two API processes and a worker on servers of their own, so that nobody else counts there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import openai
import pytest
import redis

from infra.embedded.postgres import Postgres
from tests.organization.conftest import Admin, admin
from tests.ports import free_port
from tests.scripted_model import ScriptedModel
from tests.system import Project, System, create_database, redis_apart

__all__ = ["admin"]


@dataclass
class Limited(System):
    """`addresses` are those of its two API processes; the first tells its metrics at `metrics_port`."""

    addresses: tuple[str, ...] = ()
    metrics_port: int = 0


@pytest.fixture(scope="package")
async def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> AsyncIterator[Limited]:
    root = room / "limits"
    root.mkdir()
    settings = {"ASSISTANTD_LEASE_DURATION": "1", "ASSISTANTD_MODEL_PAUSE": "0"}
    made = Limited(root, create_database(postgres.url, "limits"), redis_apart(redis_url), model.base_url, settings)
    made.metrics_port = free_port()
    processes = [made.spawn_api(metrics_port=str(made.metrics_port))]
    first = made.base_url
    processes += [made.spawn_api(), made.spawn_worker()]
    made.addresses = (first, made.base_url)
    for process in processes:
        await asyncio.to_thread(process.wait_until_ready)
    yield made
    made.stop()


@dataclass(frozen=True)
class Tenant:
    """A project whose limits the test sets, as an administrator and as one of its programs see it."""

    id: str
    project: Project
    admin: Admin
    system: Limited
    windows: "redis.Redis"

    async def limit(self, **limits: int | None) -> None:
        """Set limits of the project, and wait until every process has to know it."""
        answer = await self.admin.http.post(
            f"/organization/projects/{self.id}", json={"assistantd": {"limits": limits}}
        )
        answer.raise_for_status()
        await known()

    async def limit_model(self, model: str, **limits: Any) -> None:
        """The same of one model: `max_requests_per_1_minute`, `max_tokens_per_1_minute`."""
        rate_limits = self.admin.client.admin.organization.projects.rate_limits
        async with asyncio.timeout(10):
            while True:
                with suppress(openai.NotFoundError):  # the endpoint is asked for its models once in two seconds
                    await rate_limits.update_rate_limit(f"rl-{model}", project_id=self.id, **limits)
                    break
                await asyncio.sleep(0.2)
        await known()

    def used(self) -> Mapping[str, int]:
        """What the project's windows have counted, by unit and model."""
        keys = [key.decode() for key in self.windows.keys(f"limit:{self.id}:*")]  # type: ignore[union-attr]
        return {key.removeprefix(f"limit:{self.id}:"): int(self.windows.get(key) or 0) for key in keys}  # type: ignore[arg-type]

    def window(self, name: str) -> str:
        """The key of one of its windows."""
        return f"limit:{self.id}:{name}"


async def known() -> None:
    """Return when what is remembered of a key is forgotten on every process: time itself is what is waited for."""
    await asyncio.sleep(1.05)


@asynccontextmanager
async def tenant_of(system: Limited, admin: Admin) -> AsyncIterator[Tenant]:
    name = f"test-{uuid4().hex[:12]}"
    key = await system.key(name)
    ((project_id,),) = system.query("SELECT id FROM projects WHERE name = %s", name)
    with redis.Redis.from_url(system.redis_url) as windows:
        async with Project.known(system, key) as project:
            yield Tenant(project_id, project, admin, system, windows)


@pytest.fixture
async def tenant(system: Limited, admin: Admin) -> AsyncIterator[Tenant]:
    async with tenant_of(system, admin) as made:
        yield made
