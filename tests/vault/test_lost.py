"""Content that nobody can open any more: whoever needs it is told so at once, and nobody waits for it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.vault.contents import ContentLost
from tests import http
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System, until

CUT_OFF = {
    "messages": "UPDATE messages SET content = jsonb_build_array(left(content ->> 0, 80)) WHERE thread_id = %s",
    "runs": "UPDATE runs SET instructions = left(instructions, 80) WHERE thread_id = %s AND waiting = %s",
}
ENDED = "SELECT count(*), max(finished_at) - min(finished_at) FROM runs WHERE thread_id = %s AND status = 'failed'"


def start(assistant_id: str, thread_id: str) -> dict[str, Any]:
    return {"url": f"/threads/{thread_id}/runs", "json": {"assistant_id": assistant_id, "stream": True}}


async def test_a_run_of_it_fails_at_once(project: Project, system: System, model: ScriptedModel) -> None:
    assistant = await project.client.beta.assistants.create(model=model.script(Say("never said")))
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    system.query(CUT_OFF["messages"], thread.id)

    async with (
        asyncio.timeout(10),
        http.session(project) as client,
        client.stream("POST", **start(assistant.id, thread.id)) as response,
    ):
        *_, failed, done = [event async for event in http.events(response)]

    assert (failed.name, done.name) == ("thread.run.failed", "done")
    assert failed.data["last_error"] == {"code": "server_error", "message": ContentLost.TOLD}
    run = await project.client.beta.threads.runs.retrieve(failed.data["id"], thread_id=thread.id)
    assert run.status == "failed"


async def test_a_run_whose_thread_was_damaged_between_two_turns_fails(
    project: Project, system: System, model: ScriptedModel
) -> None:
    hold = Gate()
    name = model.script(CallFunctions([("file_search", {"queries": ["Hi"]})], before=hold), Say("never said"))
    assistant = await project.client.beta.assistants.create(model=name, tools=[{"type": "file_search"}])
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    run = await project.client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    await hold.reached()
    system.query(CUT_OFF["messages"], thread.id)
    hold.open()

    run = await project.client.beta.threads.runs.poll(run.id, thread_id=thread.id, poll_interval_ms=20)

    assert run.last_error is not None
    assert (run.status, run.last_error.message) == ("failed", ContentLost.TOLD)


async def test_runs_of_it_behind_each_other_fail_at_once(
    project: Project, system: System, model: ScriptedModel
) -> None:
    """Each lets the one behind it begin, whether that can be opened or not: none waits for a sweeper, seconds each."""
    hold = Gate()
    name = model.script(Say([hold, "One."]))
    assistant = await project.client.beta.assistants.create(model=name, instructions="Be brief.")
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    body = {"assistant_id": assistant.id, "assistantd": {"when_busy": "enqueue"}}
    async with http.session(project) as client:
        for _ in range(5):
            assert (await client.post(f"/threads/{thread.id}/runs", json=body)).status_code == 200
    await hold.reached()
    system.query(CUT_OFF["runs"], thread.id, "true")
    hold.open()

    await until(lambda: system.query(ENDED, thread.id)[0][0] == 4)

    ((_, within),) = system.query(ENDED, thread.id)
    assert within < timedelta(seconds=3), "a sweeper rings after two seconds each"


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", {"metadata": {"a": "b"}})])
async def test_who_asks_for_it_is_told(project: Project, system: System, method: str, body: Any) -> None:
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    (message,) = (await project.client.beta.threads.messages.list(thread.id)).data
    system.query(CUT_OFF["messages"], thread.id)

    async with http.session(project) as client:
        answer = await client.request(method, f"/threads/{thread.id}/messages/{message.id}", json=body)

    assert (answer.status_code, answer.headers["x-should-retry"]) == (500, "false")
    problem = {"message": ContentLost.TOLD, "type": "server_error", "param": None, "code": "content_lost"}
    assert answer.json() == {"error": problem}
    assert (await project.client.beta.threads.delete(thread.id)).deleted, "it can be deleted all the same"


async def test_a_stream_of_it_ends(project: Project, system: System, model: ScriptedModel) -> None:
    """Of a run that was damaged while the model spoke."""
    hold = Gate()
    said = model.script(Say(["One ", hold, "two."]))
    assistant = await project.client.beta.assistants.create(model=said, instructions="Be brief.")
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    async with (
        asyncio.timeout(20),
        http.session(project) as client,
        client.stream("POST", **start(assistant.id, thread.id)) as response,
    ):
        await hold.reached()
        system.query(CUT_OFF["runs"], thread.id, "false")
        hold.open()
        *_, error, done = [event async for event in http.events(response)]

    assert (error.name, done.name) == ("error", "done")
    assert error.data["code"] == "content_lost"
