"""Whose turn it is, when more runs are queued than workers take."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from infra.embedded.postgres import Postgres
from shared import ids
from shared.database import Database
from shared.runs import transitions
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import Project, System, create_database, redis_apart, until
from worker.runs.claim import claim_fairly

QUEUE = text("""
WITH thread AS (INSERT INTO threads (id, project_id) VALUES (:thread_id, :project_id) RETURNING id)
INSERT INTO runs (id, project_id, thread_id, assistant_id, model, parallel_tool_calls, expires_at)
SELECT :run_id, :project_id, thread.id, 'asst_x', 'm', true, now() + interval '1 hour' FROM thread""")


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    """A database of the test's own: the fair claim looks at every project there is."""
    url = create_database(postgres.url, ids.new("proj").lower())
    async with Database(url) as connected:
        yield connected


async def queue(database: Database, project: str, runs: int) -> None:
    for _ in range(runs):
        params = {"thread_id": ids.new("thread"), "run_id": ids.new("run"), "project_id": project}
        await database.all(QUEUE, params)


async def claim(database: Database, at_once: int | None = None, *, limited: bool = False) -> str | None:
    """The project whose run is claimed."""
    move = transitions.claim("worker", timedelta(seconds=10))
    row = await claim_fairly(database, move, at_once, limited=limited or at_once is not None)
    return None if row is None else row["project_id"]


async def test_a_single_run_does_not_wait_for_another_tenants_thousand(database: Database) -> None:
    await queue(database, "proj_many", 300)
    assert [await claim(database) for _ in range(5)] == ["proj_many"] * 5
    await queue(database, "proj_one", 1)

    assert await claim(database) == "proj_one"
    assert await claim(database) == "proj_many"


async def test_projects_take_turns(database: Database) -> None:
    for project in ("proj_a", "proj_b", "proj_c"):
        await queue(database, project, 3)

    taken = [await claim(database) for _ in range(9)]

    for first in (0, 3, 6):
        assert set(taken[first : first + 3]) == {"proj_a", "proj_b", "proj_c"}
    assert await claim(database) is None


async def test_many_claims_at_once_take_each_run_once(database: Database) -> None:
    await queue(database, "proj_a", 20)
    await queue(database, "proj_b", 20)

    taken = await asyncio.gather(*(claim(database) for _ in range(60)))
    while (more := await claim(database)) is not None:  # those that found every candidate locked
        taken.append(more)

    assert sorted(filter(None, taken)) == ["proj_a"] * 20 + ["proj_b"] * 20


async def test_each_of_many_claims_finds_a_run(database: Database) -> None:
    """They leave each other's candidates alone: a ring that found none would be lost for seconds."""
    for number in range(20):
        await queue(database, f"proj_{number}", 1)

    taken = await asyncio.gather(*(claim(database) for _ in range(20)))

    assert sorted(filter(None, taken)) == sorted(f"proj_{number}" for number in range(20))


async def test_a_project_at_its_limit_waits_and_others_do_not(database: Database) -> None:
    await queue(database, "proj_a", 3)
    await queue(database, "proj_b", 1)

    taken = [await claim(database, at_once=2) for _ in range(4)]

    assert sorted(filter(None, taken)) == ["proj_a", "proj_a", "proj_b"]


async def test_a_limit_holds_however_many_claim_at_once(database: Database) -> None:
    await queue(database, "proj_a", 30)
    await queue(database, "proj_b", 1)

    taken = await asyncio.gather(*(claim(database, at_once=3) for _ in range(20)))

    assert sorted(filter(None, taken)) == ["proj_a"] * 3 + ["proj_b"]


LIMITED = text("INSERT INTO projects (id, name, max_concurrent_runs) VALUES (:id, :id, :most)")


async def test_a_projects_own_limit_takes_the_place_of_everybodys(database: Database) -> None:
    for project, most in (("proj_few", 1), ("proj_many", 3), ("proj_any", None)):
        await database.all(LIMITED, {"id": project, "most": most})
        await queue(database, project, 5)

    taken = [await claim(database, at_once=2) for _ in range(8)]

    assert sorted(filter(None, taken)) == ["proj_any"] * 2 + ["proj_few"] + ["proj_many"] * 3


async def test_who_has_no_limit_has_none_where_others_have(database: Database) -> None:
    await database.all(LIMITED, {"id": "proj_few", "most": 2})
    for project in ("proj_few", "proj_any"):
        await queue(database, project, 10)

    taken = await asyncio.gather(*(claim(database, limited=True) for _ in range(20)))
    while (more := await claim(database, limited=True)) is not None:  # those that found every candidate locked
        taken.append(more)

    assert sorted(filter(None, taken)) == ["proj_any"] * 10 + ["proj_few"] * 2


async def test_a_limit_holds_over_processes_and_everything_completes(
    room: Path, database_url: str, redis_url: str, model: ScriptedModel
) -> None:
    """Runs beyond it begin as others end."""
    root = room / "limited"
    root.mkdir()
    settings = {"ASSISTANTD_PROJECT_CONCURRENCY": "2"}
    apart = redis_apart(redis_url)
    system = System(root, create_database(database_url, "limited"), apart, model.base_url, settings)
    system.start()
    system.spawn_worker().wait_until_ready()
    hold = Gate()
    name = model.script(*(Say(["One ", hold, "two."]) for _ in range(5)))
    try:
        async with Project.of(system) as project:
            client = project.client.beta
            assistant = await client.assistants.create(model=name)
            runs = [await client.threads.create_and_run(assistant_id=assistant.id) for _ in range(5)]
            await model.requested(name, 2)
            held = system.query("SELECT count(*) FROM runs WHERE status = 'in_progress'")
            hold.open()
            for run in runs:
                ended = await client.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=20)
                assert ended.status == "completed"
    finally:
        system.stop()
    assert held == [(2,)]


async def expire_one(project: Project, assistant_id: str) -> None:
    """A run that nobody gets to expires: somebody has swept since it was created."""
    run = await project.client.beta.threads.create_and_run_poll(
        assistant_id=assistant_id, poll_interval_ms=20, extra_body={"assistantd": {"expires_after": 1}}
    )
    assert run.status == "expired"


async def test_a_free_slot_goes_to_who_has_none(
    room: Path, database_url: str, redis_url: str, model: ScriptedModel
) -> None:
    """One tenant has filled the worker and the queue; another one's single run is next."""
    root = room / "crowded"
    root.mkdir()
    settings = {"ASSISTANTD_WORKER_CONCURRENCY": "3"}
    apart = redis_apart(redis_url)
    system = System(root, create_database(database_url, "crowded"), apart, model.base_url, settings)
    system.start()
    first, rest = Gate(), Gate()
    many = model.script(Say(["One ", first, "two."]), *[Say(["One ", rest, "two."])] * 50)
    one = model.script(Say("Here I am."))
    try:
        async with Project.of(system) as crowd, Project.of(system) as single:
            theirs = await crowd.client.beta.assistants.create(model=many)
            for _ in range(51):
                await crowd.client.beta.threads.create_and_run(assistant_id=theirs.id)
            await model.requested(many, 3)
            await expire_one(crowd, theirs.id)  # by the second sweep from now on the worker knows of the crowd
            await expire_one(crowd, theirs.id)
            ours = await single.client.beta.assistants.create(model=one)
            run = await single.client.beta.threads.create_and_run(assistant_id=ours.id)
            first.open()
            await model.requested(one)
            asked_by_them = len(model.requests(many))
            rest.open()
            ended = await single.client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=20)
    finally:
        system.stop()
    assert ended.status == "completed"
    assert asked_by_them == 3


@pytest.mark.alone
async def test_a_burst_under_a_limit_costs_no_run_its_lease(
    room: Path, database_url: str, redis_url: str, model: ScriptedModel
) -> None:
    """[RUN-2]: claims that wait for each other leave connections to those who have something to write."""
    root = room / "burst"
    root.mkdir()
    settings = {"PROJECT_CONCURRENCY": "1000", "DATABASE_POOL": "4", "LEASE_DURATION": "2"}
    url, apart = create_database(database_url, "burst"), redis_apart(redis_url)
    variables = {f"ASSISTANTD_{name}": value for name, value in settings.items()}
    system = System(root, url, apart, model.base_url, variables)
    system.start()
    burst = 300
    try:
        async with Project.of(system) as project:
            client = project.client.beta
            assistant = await client.assistants.create(model=model.script(*[Say("Here I am.")] * burst))
            await asyncio.gather(*(client.threads.create_and_run(assistant_id=assistant.id) for _ in range(burst)))
            ended = "SELECT count(*) FROM runs WHERE status = 'completed'"
            await until(lambda: system.query(ended) == [(burst,)], timedelta(seconds=60))
    finally:
        system.stop()
    assert system.query("SELECT sum(attempts), max(term) FROM runs") == [(0, 1)]
