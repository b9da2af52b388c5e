"""A system of its own with Flower beside it, as `assistantd up` starts it: behind a password, on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from infra.embedded.postgres import Postgres
from shared.queue import RUNS_QUEUE, message_template
from tests.metrics.scrape import value
from tests.ports import free_port
from tests.scripted_model import ScriptedModel
from tests.system import Project, System, create_database, redis_apart, until

PASSWORD = "plain-and-long"
LOOK_AGAIN_S = 0.1


async def shown(what: Callable[[], Awaitable[Any]], within: timedelta = timedelta(seconds=15)) -> Any:
    """What Flower answers, once it is more than nothing: events reach it when they do, and it tells nobody."""
    async with asyncio.timeout(within.total_seconds()):
        while not (answer := await what()):  # noqa: ASYNC110 # another process hears of it, and doesn't tell
            await asyncio.sleep(LOOK_AGAIN_S)
    return answer


@dataclass(frozen=True)
class Flower:
    """Flower's address, and its HTTP interface with the password."""

    port: int
    http: httpx2.AsyncClient

    @property
    def url(self) -> str:
        """As `up` gives it to people: with the password."""
        return f"http://assistantd:{PASSWORD}@127.0.0.1:{self.port}"

    async def hears_of_tasks(self, queue: "redis.Redis") -> bool:
        """Has the worker begun to tell what happens? Flower asks for it every five seconds. Else ring for nothing."""
        if any(task["result"] == "'nothing to do'" for task in await self.tasks()):
            return True
        queue.lpush(RUNS_QUEUE, message_template().message("run_none", "thread_none", "proj_none", "ring"))
        return False

    async def tasks(self) -> list[dict[str, Any]]:
        """Every task that it knows of."""
        answer = await self.http.get("/api/tasks")
        assert answer.status_code == 200, answer.text
        return list(answer.json().values())

    async def of(self, object_id: str) -> dict[str, Any] | None:
        """The newest task that was rung for a run or store."""
        tasks = [task for task in await self.tasks() if task["uuid"].startswith(object_id)]
        return max(tasks, key=lambda task: task["received"] or 0, default=None)

    async def revoke(self, task_id: str, *, terminate: bool) -> None:
        """What its buttons do."""
        answer = await self.http.post(f"/api/task/revoke/{task_id}", params={"terminate": str(terminate).lower()})
        assert answer.status_code == 200, answer.text


@dataclass(frozen=True)
class Swept:
    """When the worker last looked for what nobody else does, and at how many rings wait."""

    port: int

    async def again(self) -> None:
        """Return once it has begun and ended to look since now."""
        for _ in range(2):
            before = self._last()
            await until(lambda before=before: self._last() > before)

    def _last(self) -> float:
        return value(self.port, "assistantd_last_sweep_timestamp_seconds")


@pytest.fixture
def swept(system: System, worker_metrics: int) -> Swept:  # noqa: ARG001 # its worker has to run
    return Swept(worker_metrics)


@pytest.fixture(scope="module")
def worker_metrics() -> int:
    return free_port()


@pytest.fixture(scope="module")
def flower_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def system(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, flower_port: int, worker_metrics: int
) -> Iterator[System]:
    root = room / "flowered"
    root.mkdir()
    settings = {"FLOWER_BASIC_AUTH": f"assistantd:{PASSWORD}", "ASSISTANTD_WORKER_CONCURRENCY": "2"}
    made = System(root, create_database(postgres.url, "flowered"), redis_apart(redis_url), model.base_url, settings)
    flower = made.spawn("flower", "--port", str(flower_port))
    for process in (made.spawn_api(), made.spawn_worker(metrics_port=str(worker_metrics)), flower):
        process.wait_until_ready()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant


@pytest.fixture
async def flower(system: System, flower_port: int) -> AsyncIterator[Flower]:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{flower_port}", auth=("assistantd", PASSWORD)) as http:
        made = Flower(flower_port, http)
        with redis.Redis.from_url(system.redis_url) as queue:
            await shown(partial(made.hears_of_tasks, queue))
        yield made
