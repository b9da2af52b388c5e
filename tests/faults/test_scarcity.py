"""What a worker needs runs out or lies: connections, locks, the time of day. Runs come through, each once."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from infra.embedded.postgres import Postgres
from tests import http
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import Project, System, create_database, redis_apart, until

if TYPE_CHECKING:
    import httpx2

CLOCK = Path(__file__).parent / "shifted_clock"
MANY = 8


@pytest.fixture(scope="module")
def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    """An API process with two connections to Postgres; each test starts the worker that it needs."""
    root = room / "scarcity"
    root.mkdir()
    apart = redis_apart(redis_url)
    settings = {"ASSISTANTD_LEASE_DURATION": "2", "ASSISTANTD_DATABASE_POOL": "2"}
    made = System(root, create_database(postgres.url, "scarcity"), apart, model.base_url, settings)
    made.spawn_api().wait_until_ready()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant
    system.stop_workers()


async def begin(project: Project, model: str) -> tuple[str, str]:
    """A run of that model: its thread's id and its own."""
    assistant = await project.client.beta.assistants.create(model=model)
    run = await project.client.beta.threads.create_and_run(assistant_id=assistant.id)
    return run.thread_id, run.id


async def outcome(project: Project, thread_id: str, run_id: str) -> tuple[str, list[str]]:
    """How a run ended, and what it said."""
    run = await project.client.beta.threads.runs.poll(run_id, thread_id=thread_id, poll_interval_ms=50)
    messages = await project.client.beta.threads.messages.list(thread_id, order="asc")
    return run.status, [m.content[0].text.value for m in messages.data]  # type: ignore[union-attr]


async def test_requests_wait_for_a_connection(project: Project, system: System) -> None:
    """Every connection waits for a lock; whoever comes then waits for a connection, and none is refused."""
    with psycopg.connect(system.database_url) as other:
        other.execute("LOCK TABLE assistants")
        async with http.session(project) as client:
            stuck = [asyncio.create_task(client.get("/assistants")) for _ in range(MANY)]
            thread = asyncio.create_task(client.post("/threads", json={}))
            await until(lambda: waiting(system) == 2)
            assert not thread.done()
            other.rollback()
            answers: list[httpx2.Response] = [*await asyncio.gather(*stuck), await thread]
    assert [answer.status_code for answer in answers] == [200] * (MANY + 1)


def waiting(system: System) -> int:
    """Statements of this database that wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return system.query(query)[0][0]


async def test_a_worker_without_connections_keeps_its_leases(
    project: Project, model: ScriptedModel, system: System
) -> None:
    """[RUN-2] [RUN-3]: settlements wait, heartbeats have a connection of their own."""
    system.spawn_worker().wait_until_ready()
    hold, later = Gate(), Gate()
    ending = [await begin(project, model.script(Say(["On", hold, "ce."]))) for _ in range(MANY)]
    held = await begin(project, model.script(Say(["On", later, "ce."])))
    await later.reached()
    await hold.reached()
    with psycopg.connect(system.database_url) as other:
        other.execute("LOCK TABLE run_steps IN SHARE MODE")
        hold.open()
        await until(lambda: waiting(system) >= 2)
        ((lease,),) = system.query("SELECT lease_expires_at FROM runs WHERE id = %s", held[1])
        await until(lambda: system.query("SELECT now() > %s", lease) == [(True,)])  # and it has been renewed meanwhile
        assert system.query("SELECT lease_expires_at > now(), attempts FROM runs WHERE id = %s", held[1]) == [(True, 0)]
        other.rollback()
    later.open()

    for run in (*ending, held):
        assert await outcome(project, *run) == ("completed", ["Once."])
    assert system.query("SELECT sum(attempts) FROM runs WHERE id = %s", held[1]) == [(0,)]


async def test_a_clock_that_is_set_forward_costs_nothing(
    project: Project, model: ScriptedModel, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[RUN-1] [RUN-2]: leases and expiry go by the database's clock, and what is written bears its instants."""
    shifted = tmp_path / "shifted"
    monkeypatch.setenv("SHIFT_WHEN", str(shifted))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(CLOCK), os.environ.get("PYTHONPATH", "")]))
    system.spawn_worker().wait_until_ready()
    hold = Gate()
    run = await begin(project, model.script(Say(["On", hold, "ce."])))
    await hold.reached()
    shifted.touch()
    ((lease,),) = system.query("SELECT lease_expires_at FROM runs WHERE id = %s", run[1])
    await until(lambda: system.query("SELECT lease_expires_at > %s FROM runs WHERE id = %s", lease, run[1])[0][0])
    hold.open()

    assert await outcome(project, *run) == ("completed", ["Once."])
    assert await outcome(project, *await begin(project, model.script(Say("And again.")))) == (
        "completed",
        ["And again."],
    )
    assert system.query("SELECT term, attempts FROM runs WHERE id = %s", run[1]) == [(1, 0)]
    newest = "SELECT max(created_at) > now() OR max(ended_at) > now() FROM run_steps"
    assert system.query(newest) == [(False,)]


@pytest.mark.parametrize(
    "command", [("FLUSHALL",), ("CLIENT", "KILL", "TYPE", "normal"), ("CLIENT", "KILL", "TYPE", "pubsub")]
)
async def test_redis_forgets_or_hangs_up(
    project: Project, model: ScriptedModel, system: System, redis_url: str, command: tuple[str, ...]
) -> None:
    """[RUN-1] [RUN-7]: in the middle of a stream. It ends as the row says, and the next run begins at once."""
    system.spawn_worker().wait_until_ready()
    hold = Gate()
    assistant = await project.client.beta.assistants.create(
        model=model.script(Say(["One ", hold, "two."]), Say("Three."))
    )
    body = {"assistant_id": assistant.id, "stream": True}
    seen: list[http.Event] = []
    async with http.session(project) as client, client.stream("POST", "/threads/runs", json=body) as response:
        async for event in http.events(response):
            if event.name == "thread.message.delta" and not any(one.name == event.name for one in seen):
                with redis.Redis.from_url(redis_url) as administrator:
                    administrator.execute_command(*command)
                hold.open()
            seen.append(event)

    assert [event.name for event in seen[-2:]] == ["thread.run.completed", "done"]
    whole = next(event for event in seen if event.name == "thread.message.completed")
    assert whole.data["content"][0]["text"]["value"] == "One two."
    following = await project.client.beta.threads.create_and_run(assistant_id=assistant.id)
    assert await outcome(project, following.thread_id, following.id) == ("completed", ["Three."])


async def test_without_any_worker_runs_still_come_to_an_end(project: Project) -> None:
    """[RUN-1] [RUN-7]."""
    assistant = await project.client.beta.assistants.create(model="nobody")
    body = {"assistant_id": assistant.id, "stream": True, "assistantd": {"expires_after": 1}}
    async with http.session(project) as client, client.stream("POST", "/threads/runs", json=body) as response:
        seen = [event.name async for event in http.events(response)]

    assert seen[-2:] == ["thread.run.expired", "done"]


async def test_a_cancelled_run_ends_where_no_worker_is_left(
    project: Project, model: ScriptedModel, system: System
) -> None:
    """[RUN-1] [RUN-6]: its worker died before it could obey."""
    worker = system.spawn_worker()
    worker.wait_until_ready()
    hold = Gate()
    thread_id, run_id = await begin(project, model.script(Say(["On", hold, "ce."])))
    await hold.reached()
    await asyncio.to_thread(worker.kill)

    asked = await project.client.beta.threads.runs.cancel(run_id, thread_id=thread_id)
    ended = await project.client.beta.threads.runs.poll(run_id, thread_id=thread_id, poll_interval_ms=50)

    assert (asked.status, ended.status) == ("cancelling", "cancelled")


async def test_a_row_that_somebody_locks_holds_up_no_other_lease(
    project: Project, model: ScriptedModel, system: System
) -> None:
    """[RUN-2]: a client's transaction that hangs, on one run of many."""
    system.spawn_worker().wait_until_ready()
    hold = Gate()
    names = [model.script(*[Say(["On", hold, "ce."])] * 2) for _ in range(3)]
    runs = [await begin(project, name) for name in names]
    for name in names:
        await model.requested(name)
    ((lease,),) = system.query("SELECT max(lease_expires_at) FROM runs WHERE status = 'in_progress'")
    with psycopg.connect(system.database_url) as other:
        other.execute("UPDATE runs SET metadata = '{}' WHERE id = %s", [runs[0][1]])
        await until(lambda: system.query("SELECT now() > %s + interval '1 second'", lease) == [(True,)])
        other.rollback()
    hold.open()

    assert [await outcome(project, *run) for run in runs[1:]] == [("completed", ["Once."])] * 2
    ids = [run_id for _, run_id in runs[1:]]
    assert system.query("SELECT max(term), sum(attempts) FROM runs WHERE id = ANY(%s)", ids) == [(1, 0)]
