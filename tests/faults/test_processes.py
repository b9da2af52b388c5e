"""Whatever dies, freezes or goes away: an accepted run reaches its end, once, with one message.

These tests have servers of their own, because they stop them, and leases of two seconds, because they wait for them.
Servers are started on the main thread: they die with the thread that started them.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from openai.types.beta.threads import Run

from infra.embedded.postgres import Postgres
from infra.embedded.valkey import Valkey
from tests import http
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import Process, Project, System, create_database

LEASE = timedelta(seconds=2)
FUNCTION: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def servers(room: Path) -> Iterator[tuple[Postgres, Valkey]]:
    postgres, valkey = Postgres(room / "faults-postgres"), Valkey(room / "faults-valkey")
    postgres.start()
    valkey.start()
    yield postgres, valkey
    valkey.stop()
    postgres.stop()


@pytest.fixture(scope="module")
def system(room: Path, servers: tuple[Postgres, Valkey], model: ScriptedModel) -> Iterator[System]:
    """An API process; each test starts the workers that it needs."""
    postgres, valkey = servers
    root = room / "faults"
    root.mkdir()
    settings = {"ASSISTANTD_LEASE_DURATION": str(LEASE.total_seconds()), "ASSISTANTD_DRAIN_TIMEOUT": "2"}
    made = System(root, create_database(postgres.url, "faults"), valkey.url, model.base_url, settings)
    made.spawn_api().wait_until_ready()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant


@pytest.fixture
def worker(system: System) -> Iterator[Process]:
    """One worker; whatever others a test starts are stopped with it."""
    process = system.spawn_worker()
    process.wait_until_ready()
    yield process
    system.stop_workers()


@pytest.fixture
def second_worker(system: System, worker: Process) -> Process:
    del worker
    process = system.spawn_worker()
    process.wait_until_ready()
    return process


async def start(project: Project, model: str, **assistant: Any) -> Run:
    made = await project.client.beta.assistants.create(model=model, **assistant)
    return await project.client.beta.threads.create_and_run(
        assistant_id=made.id, thread={"messages": [{"role": "user", "content": "Hello?"}]}
    )


async def ended(project: Project, run: Run) -> Run:
    """Poll until the run has ended; the test's own time-out is the limit."""
    return await project.client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=50)


async def answers(project: Project, run: Run) -> list[str]:
    found = await project.client.beta.threads.messages.list(run.thread_id, order="asc")
    return [m.content[0].text.value for m in found.data if m.role == "assistant"]  # type: ignore[union-attr]


async def test_a_killed_worker_loses_no_run(
    project: Project, model: ScriptedModel, worker: Process, system: System
) -> None:
    """[RUN-1] [RUN-3]."""
    hold = Gate()
    name = model.script(Say(["One ", hold, "never"]), Say("One two."))
    run = await start(project, name)
    await hold.reached()

    worker.kill()
    system.spawn_worker()
    done = await ended(project, run)

    assert done.status == "completed"
    assert await answers(project, run) == ["One two."]
    assert system.query("SELECT attempts FROM runs WHERE id = %s", run.id) == [(1,)]


async def test_a_stream_goes_on_with_the_next_worker(
    project: Project, model: ScriptedModel, worker: Process, system: System
) -> None:
    """[RUN-4] [RUN-7]: the message begins anew under its own id."""
    hold = Gate()
    assistant = await project.client.beta.assistants.create(
        model=model.script(Say(["One ", hold, "never"]), Say("One two."))
    )
    seen: list[http.Event] = []
    async with (
        http.session(project) as client,
        client.stream("POST", "/threads/runs", json={"assistant_id": assistant.id, "stream": True}) as response,
    ):
        events = http.events(response)
        async for event in events:
            seen.append(event)
            if event.name == "thread.message.delta":
                break
        worker.kill()
        system.spawn_worker()
        seen += [event async for event in events]

    names = [event.name for event in seen]
    assert names[-2:] == ["thread.run.completed", "done"]
    begun = [event.data["id"] for event in seen if event.name == "thread.message.created"]
    assert len(begun) == 2
    assert len(set(begun)) == 1
    numbered = [tuple(int(part) for part in event.id.split("-")) for event in seen]
    assert numbered == sorted(set(numbered))


async def test_a_frozen_worker_wakes_up_to_nothing(
    project: Project, model: ScriptedModel, worker: Process, second_worker: Process, system: System
) -> None:
    """[RUN-2] [RUN-3]: it is fenced off by its term."""
    hold = Gate()
    frozen, name = worker, model.script(Say(["One ", hold, "zombie"]), Say("One two."))
    run = await start(project, name)
    await hold.reached()
    (owner,) = system.query("SELECT lease_owner FROM runs WHERE id = %s", run.id)[0]
    if f":{worker.popen.pid}:" not in owner:
        frozen = second_worker

    frozen.signal(signal.SIGSTOP)
    done = await ended(project, run)
    hold.open()
    frozen.signal(signal.SIGCONT)
    await asyncio.to_thread(frozen.stop)  # with all that it still had to say

    assert done.status == "completed"
    assert await answers(project, run) == ["One two."]
    assert system.query("SELECT status, count(*) FROM run_steps WHERE run_id = %s GROUP BY 1", run.id) == [
        ("completed", 1)
    ]


async def test_a_worker_that_leaves_finishes_what_it_can(
    project: Project, model: ScriptedModel, worker: Process, system: System
) -> None:
    hold = Gate()
    run = await start(project, model.script(Say(["One ", hold, "two."])))
    await hold.reached()

    worker.signal(signal.SIGTERM)
    hold.open()
    done = await ended(project, run)

    assert worker.stop() == 0
    assert done.status == "completed"
    assert system.query("SELECT term FROM runs WHERE id = %s", run.id) == [(1,)]


async def test_a_worker_that_leaves_hands_over_what_it_cannot_finish(
    project: Project, model: ScriptedModel, worker: Process, second_worker: Process, system: System
) -> None:
    """After DRAIN_TIMEOUT; it costs the run no attempt."""
    hold = Gate()
    name = model.script(Say(["One ", hold, "never"]), Say("One two."))
    run = await start(project, name)
    await hold.reached()
    (owner,) = system.query("SELECT lease_owner FROM runs WHERE id = %s", run.id)[0]
    leaving = worker if f":{worker.popen.pid}:" in owner else second_worker

    leaving.signal(signal.SIGTERM)
    done = await ended(project, run)

    assert done.status == "completed"
    assert await answers(project, run) == ["One two."]
    assert system.query("SELECT attempts FROM runs WHERE id = %s", run.id) == [(0,)]


async def test_a_run_accepted_without_redis_completes_when_it_is_back(
    project: Project, model: ScriptedModel, worker: Process, servers: tuple[Postgres, Valkey]
) -> None:
    """[RUN-1]: the ring is lost, and rung again."""
    del worker
    _, valkey = servers
    await asyncio.to_thread(valkey.stop)
    run = await start(project, model.script(Say("Here I am.")))
    assert run.status == "queued"

    valkey.start()
    done = await ended(project, run)

    assert done.status == "completed"
    assert await answers(project, run) == ["Here I am."]


async def test_a_stream_outlives_redis(
    project: Project, model: ScriptedModel, worker: Process, servers: tuple[Postgres, Valkey]
) -> None:
    """[RUN-7]: events are lost with Redis, and the end is told from the row."""
    del worker
    _, valkey = servers
    hold = Gate()
    assistant = await project.client.beta.assistants.create(model=model.script(Say(["One ", hold, "two."])))
    seen: list[str] = []
    async with (
        http.session(project) as client,
        client.stream("POST", "/threads/runs", json={"assistant_id": assistant.id, "stream": True}) as response,
    ):
        async for event in http.events(response):
            seen.append(event.name)
            if event.name == "thread.message.delta" and "thread.message.delta" not in seen[:-1]:
                await asyncio.to_thread(valkey.stop)
                hold.open()
    valkey.start()

    assert seen[-2:] == ["thread.run.completed", "done"]


async def test_a_cancel_without_redis_is_heard_with_the_next_heartbeat(
    project: Project, model: ScriptedModel, worker: Process, servers: tuple[Postgres, Valkey]
) -> None:
    """[RUN-6]."""
    del worker
    _, valkey = servers
    hold = Gate()
    name = model.script(Say(["One ", hold, "two."]))
    run = await start(project, name)
    await hold.reached()
    await asyncio.to_thread(valkey.stop)

    await project.client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    await model.disconnected(name, within=LEASE)
    done = await ended(project, run)

    assert done.status == "cancelled"
    valkey.start()


async def test_postgres_restarts_under_a_run(
    project: Project, model: ScriptedModel, worker: Process, servers: tuple[Postgres, Valkey]
) -> None:
    """[RUN-1] [RUN-3]."""
    del worker
    postgres, _ = servers
    hold = Gate()
    run = await start(project, model.script(Say(["One ", hold, "two."]), Say("One two.")))
    await hold.reached()

    await asyncio.to_thread(postgres.stop)
    hold.open()
    postgres.start()
    done = await ended(project, run)

    assert done.status == "completed"
    assert await answers(project, run) == ["One two."]


async def test_a_run_whose_worker_died_is_cancelled_by_another(
    project: Project, model: ScriptedModel, worker: Process, system: System
) -> None:
    """[RUN-6]: acknowledged before the lease ran out, done after."""
    hold = Gate()
    run = await start(project, model.script(Say(["One ", hold, "never"])))
    await hold.reached()
    worker.kill()

    asked = await project.client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    system.spawn_worker()
    done = await project.client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=50)

    assert asked.status == "cancelling"
    assert done.status == "cancelled"


async def test_an_api_process_that_dies_after_its_answer_loses_nothing(
    room: Path, servers: tuple[Postgres, Valkey], model: ScriptedModel, worker: Process, system: System
) -> None:
    """[RUN-1]."""
    del worker
    root = room / "dying"
    root.mkdir()
    other = System(root, system.database_url, servers[1].url, model.base_url, system.settings)
    api = other.spawn_api()
    api.wait_until_ready()
    async with Project.of(other) as tenant:
        run = await start(tenant, model.script(Say("Here I am.")))
        api.kill()

    async with Project.known(system, tenant.key) as survivor:
        done = await ended(survivor, run)
        assert done.status == "completed"
        assert await answers(survivor, run) == ["Here I am."]
