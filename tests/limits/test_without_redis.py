"""Redis is away: requests of limited projects get through or don't, as it is set, and none of them hangs."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import pytest

from shared.limits.windows import Windows
from tests.conformance.schema.recorder import Recorder
from tests.limits.conftest import Limited
from tests.metrics.scrape import value
from tests.ports import free_port
from tests.system import System
from worker.runs.allowance import spend, wait_for_tokens

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
async def key(system: Limited) -> str:
    """Of a project that is limited to one request a minute."""
    name = f"test-{uuid4().hex[:12]}"
    made = await system.key(name)
    system.query("UPDATE projects SET max_requests_per_minute = 1 WHERE name = %s", name)
    return made


async def answers(address: str, key: str) -> list[httpx2.Response]:
    """Three of them, all within a moment."""
    recorder, began = Recorder(), time.monotonic()
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=recorder, base_url=address, headers=headers) as client:
        made = [await client.get("/assistants") for _ in range(3)]
    assert time.monotonic() - began < 5
    recorder.check()
    return made


@pytest.fixture(params=["admit", "refuse"])
async def without(request: pytest.FixtureRequest, system: Limited) -> AsyncIterator[tuple[str, str, int, System]]:
    """The setting, the address of a process that has no Redis, and where it tells its metrics."""
    address, port = system.base_url, free_port()
    process = system.spawn_api(redis_url=NOWHERE, limits_without_redis=request.param, metrics_port=str(port))
    alone, system.base_url = system.base_url, address
    process.wait_until_ready()
    yield request.param, alone, port, system
    process.stop()


async def test_requests_get_through_or_not_as_it_is_set(without: tuple[str, str, int, System], key: str) -> None:
    setting, address, port, _ = without

    made = await answers(address, key)

    if setting == "admit":
        assert [answer.status_code for answer in made] == [200] * 3
    else:
        assert [answer.status_code for answer in made] == [503] * 3
        assert {answer.json()["error"]["code"] for answer in made} == {"limits_unavailable"}
        assert {answer.headers["retry-after"] for answer in made} == {"1"}
    assert not [name for answer in made for name in answer.headers if name.startswith("x-ratelimit")]
    assert value(port, "assistantd_limits_uncounted_total") == 3


async def test_who_has_no_limits_notices_nothing(without: tuple[str, str, int, System]) -> None:
    _, address, port, system = without
    unlimited = await system.key(f"test-{uuid4().hex[:12]}")

    assert [answer.status_code for answer in await answers(address, unlimited)] == [200] * 3
    assert value(port, "assistantd_limits_uncounted_total") == 0


async def test_no_turn_waits_for_it() -> None:
    windows, run = Windows(NOWHERE), {"project_id": "proj_x", "model": "m", "tokens_a_minute": 1}

    async with asyncio.timeout(3):
        await wait_for_tokens(windows, run)
        await spend(windows, run, {"total_tokens": 5})

    await windows.close()
