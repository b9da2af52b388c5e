"""However a run ends, an answer whose cost its worker has heard counts; one that no living worker has heard doesn't."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.postgres import Postgres
from tests.organization.conftest import Admin
from tests.scripted_model import Break, CallFunctions, Gate, Say, ScriptedModel
from tests.scripted_model.wire import usage
from tests.system import Process, Project, System, create_database, redis_apart, until
from tests.tools.test_file_search import SEARCH, searches
from tests.usage.asking import results
from tests.vector_stores import store_of

Tokens = tuple[int, int, int]
ANSWER = "One two three."


@pytest.fixture(scope="module")
def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    root = room / "endings"
    root.mkdir()
    url = create_database(postgres.url, "endings")
    settings = {"ASSISTANTD_LEASE_DURATION": "2", "ASSISTANTD_DRAIN_TIMEOUT": "1"}
    made = System(root, url, redis_apart(redis_url), model.base_url, settings)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant


async def begin(project: Project, name: str, **assistant: Any) -> Any:
    made = await project.client.beta.assistants.create(model=name, **assistant)
    thread: Any = {"messages": [{"role": "user", "content": "Well, what?"}]}
    return await project.client.beta.threads.create_and_run(assistant_id=made.id, thread=thread)


async def heard(project: Project, model: ScriptedModel) -> tuple[Gate, list[Say], str, Any]:
    """A run whose worker has heard an answer and its cost, but for the end at the gate; and both answers of its script,
    of which another attempt gets the second.
    """
    gate = Gate()
    answers = [Say(ANSWER, after=gate), Say("Another four words now.")]
    name = model.script(*answers)
    run = await begin(project, name)
    await gate.reached()
    return gate, answers, name, run


async def ended(system: System, project: Project, run: Any) -> Any:
    """The run, when it has ended."""
    await until(lambda: system.query("SELECT 1 FROM runs WHERE id = %s AND finished_at IS NOT NULL", run.id) != [])
    return await project.client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)


def the_worker(system: System) -> Process:
    """The one that there is."""
    (one,) = [one for one in system.processes if one.log.name.startswith("worker") and one.popen.poll() is None]
    return one


async def counted(admin: Admin, name: str) -> Tokens:
    """Requests, tokens asked, tokens said."""
    (one,) = await results(admin.client, "completions", models=[name]) or [None]
    return (0, 0, 0) if one is None else (one.num_model_requests, one.input_tokens, one.output_tokens)


def cost(model: ScriptedModel, name: str, *turns: Say | CallFunctions) -> Tokens:
    """What the model has counted for these answers, which it gave to the requests that it got."""
    told = [usage(asked.body, turn) for asked, turn in zip(model.requests(name), turns, strict=True)]
    return len(told), sum(one["prompt_tokens"] for one in told), sum(one["completion_tokens"] for one in told)


async def test_a_run_that_is_cancelled_when_its_cost_was_said(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    gate = Gate()
    answer = Say(ANSWER, after=gate)
    name = model.script(answer)
    run = await begin(project, name)
    await gate.reached()

    await project.client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    seen = await ended(system, project, run)
    gate.open()

    assert seen.status == "cancelled"
    assert await counted(admin, name) == cost(model, name, answer) == (1, 2, 3)
    assert seen.usage is not None
    assert (seen.usage.prompt_tokens, seen.usage.completion_tokens) == (2, 3)


async def test_a_run_that_expires_when_its_cost_was_said(admin: Admin, system: System, model: ScriptedModel) -> None:
    gate = Gate()
    answer = Say(ANSWER, after=gate)
    name, usual = model.script(answer), system.base_url
    system.spawn_api(run_expires_after="2").wait_until_ready()
    async with Project.of(system) as hurried:
        run = await begin(hurried, name)
        await gate.reached()
        seen = await ended(system, hurried, run)
    system.base_url = usual
    gate.open()

    assert seen.status == "expired"
    assert await counted(admin, name) == cost(model, name, answer)


async def test_a_run_whose_tool_fails(project: Project, admin: Admin, system: System, model: ScriptedModel) -> None:
    """Its store expires while the model speaks."""
    gate = Gate()
    answer = searches("tower", before=gate)
    name = model.script(answer)
    store_id, _ = await store_of(project.client, tower="The tower is tall.")
    resources = {"file_search": {"vector_store_ids": [store_id]}}
    run = await begin(project, name, tools=[SEARCH], tool_resources=resources)
    await gate.reached()
    system.query("UPDATE vector_stores SET expired_at = now() WHERE id = %s", store_id)
    gate.open()

    assert (await ended(system, project, run)).status == "failed"
    assert await counted(admin, name) == cost(model, name, answer)


async def test_a_run_that_has_said_all_that_it_may(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    answer = Say(ANSWER, finish="length")
    name = model.script(answer)
    run = await begin(project, name)

    assert (await ended(system, project, run)).status == "incomplete"
    assert await counted(admin, name) == cost(model, name, answer)


async def test_a_run_whose_model_breaks_off(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    """The turn before it is counted. What this one cost nobody has said."""
    asks = searches("tower")
    name = model.script(asks, Break(Say(ANSWER), after=2))
    store_id, _ = await store_of(project.client, tower="The tower is tall.")
    resources = {"file_search": {"vector_store_ids": [store_id]}}
    run = await begin(project, name, tools=[SEARCH], tool_resources=resources)

    assert (await ended(system, project, run)).status == "failed"
    asked, _ = model.requests(name)
    told = usage(asked.body, asks)
    assert await counted(admin, name) == (1, told["prompt_tokens"], told["completion_tokens"])


async def test_a_run_that_its_worker_loses_when_its_cost_was_said(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    """It is asked for again, and both answers are counted: both have cost something."""
    gate, answers, name, run = await heard(project, model)
    former = the_worker(system)
    system.spawn_worker().wait_until_ready()
    former.signal(signal.SIGSTOP)
    seen = await ended(system, project, run)
    former.signal(signal.SIGCONT)

    assert seen.status == "completed"
    assert seen.usage is not None
    assert seen.usage.completion_tokens == 4, "the run's are those of its steps"
    whole = cost(model, name, *answers)
    assert whole == (2, 4, 7)
    while (found := await counted(admin, name)) != whole:  # its worker writes down the first by itself
        assert found == (1, 2, 4)
    gate.open()
    former.stop()


async def test_a_worker_that_leaves_when_the_cost_was_said(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    """It gives its run back, with what it has heard; whoever goes on begins the turn anew."""
    gate, answers, name, run = await heard(project, model)
    former = the_worker(system)
    system.spawn_worker().wait_until_ready()
    await asyncio.to_thread(former.stop)
    gate.open()

    assert (await ended(system, project, run)).status == "completed"
    assert await counted(admin, name) == cost(model, name, *answers) == (2, 4, 7)


async def test_a_worker_that_is_killed_when_the_cost_was_said(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    """Only this answer is lost to the accounts: no other worker knows of it."""
    gate, answers, name, run = await heard(project, model)
    the_worker(system).kill()
    system.spawn_worker().wait_until_ready()

    assert (await ended(system, project, run)).status == "completed"
    gate.open()
    assert cost(model, name, *answers) == (2, 4, 7)
    assert await counted(admin, name) == (1, 2, 4)
