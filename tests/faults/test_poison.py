"""A run that kills whichever worker takes it: it fails after its last attempt, and takes no other run with it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded.postgres import Postgres
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import Project, System, create_database, redis_apart

NEIGHBOURS = 3


@pytest.fixture
def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    root = room / "poison"
    root.mkdir()
    apart = redis_apart(redis_url)
    settings = {"ASSISTANTD_LEASE_DURATION": "2"}
    made = System(root, create_database(postgres.url, "poison"), apart, model.base_url, settings)
    made.spawn_api().wait_until_ready()
    yield made
    made.stop()


async def test_it_fails_alone(system: System, model: ScriptedModel) -> None:
    """[RUN-1]: each time its neighbours lose an attempt with it; down to their last one, they are not held with it."""
    held = Gate()
    poison = model.script(*[Say(["Hm ", held, "…"])] * 3)
    others = [model.script(*[Say(["On", held, "ce."])] * 2, Say("Once.")) for _ in range(NEIGHBOURS)]
    async with Project.of(system) as project:
        threads = project.client.beta.threads
        runs = {}
        for name in (poison, *others):
            assistant = await project.client.beta.assistants.create(model=name)
            runs[name] = await threads.create_and_run(assistant_id=assistant.id)
        for attempt in (1, 2, 3):
            worker = system.spawn_worker()
            worker.wait_until_ready()
            for name in (poison, *(others if attempt < 3 else ())):
                await model.requested(name, attempt)
            await asyncio.to_thread(worker.kill)
        system.spawn_worker().wait_until_ready()

        ended = {
            name: await threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=50)
            for name, run in runs.items()
        }

    failure = ended[poison].last_error
    assert ended[poison].status == "failed"
    assert failure is not None
    assert "died or froze, 3 times" in failure.message
    assert [ended[name].status for name in others] == ["completed"] * NEIGHBOURS
