"""What balancers and supervisors ask, without a key."""

import asyncio

import pytest

from tests import http
from tests.benchmarks.http1 import Connection
from tests.system import Project


async def test_a_process_that_answers_and_can_work(project: Project) -> None:
    root = project.base_url.removesuffix("/v1")
    async with http.stranger(project) as client:
        lives = await client.get(f"{root}/healthz")
        ready = await client.get(f"{root}/readyz")

    assert (lives.status_code, lives.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "database": "ok", "redis": "ok"})


async def test_a_connection_that_idles_is_not_closed_soon(project: Project) -> None:
    """Proxies keep theirs for a minute, and would use one that is being closed; uvicorn's own patience is 5 s."""
    connection = Connection(int(project.base_url.split(":")[-1].split("/")[0]), project.key)
    await connection.json("GET", "/v1/models")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7):
            await connection.until_closed()
    assert await connection.json("GET", "/v1/models")
    connection.close()
