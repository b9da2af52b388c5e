"""What balancers and supervisors ask, without a key."""

from tests import http
from tests.system import Project


async def test_a_process_that_answers_and_can_work(project: Project) -> None:
    root = project.base_url.removesuffix("/v1")
    async with http.stranger(project) as client:
        lives = await client.get(f"{root}/healthz")
        ready = await client.get(f"{root}/readyz")

    assert (lives.status_code, lives.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "database": "ok", "redis": "ok"})
