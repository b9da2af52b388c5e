"""Content that nobody can open any more: whoever needs it is told so at once, and nobody waits for it."""

import asyncio
from typing import Any, LiteralString

import psycopg
import pytest

from shared.vault.contents import ContentLost
from tests import http
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import Project

CUT_OFF: dict[str, LiteralString] = {
    "messages": "UPDATE messages SET content = jsonb_build_array(left(content ->> 0, 80)) WHERE thread_id = %s",
    "runs": "UPDATE runs SET instructions = left(instructions, 80) WHERE thread_id = %s",
}


def damage(database_url: str, table: str, thread_id: str) -> None:
    """Cut off what is sealed in these rows of the thread."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert connection.execute(CUT_OFF[table], [thread_id]).rowcount > 0


def start(assistant_id: str, thread_id: str) -> dict[str, Any]:
    return {"url": f"/threads/{thread_id}/runs", "json": {"assistant_id": assistant_id, "stream": True}}


async def test_a_run_of_it_fails_at_once(project: Project, model: ScriptedModel, database_url: str) -> None:
    assistant = await project.client.beta.assistants.create(model=model.script(Say("never said")))
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    damage(database_url, "messages", thread.id)

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


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", {"metadata": {"a": "b"}})])
async def test_who_asks_for_it_is_told(project: Project, database_url: str, method: str, body: Any) -> None:
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    (message,) = (await project.client.beta.threads.messages.list(thread.id)).data
    damage(database_url, "messages", thread.id)

    async with http.session(project) as client:
        answer = await client.request(method, f"/threads/{thread.id}/messages/{message.id}", json=body)

    assert (answer.status_code, answer.headers["x-should-retry"]) == (500, "false")
    problem = {"message": ContentLost.TOLD, "type": "server_error", "param": None, "code": "content_lost"}
    assert answer.json() == {"error": problem}
    assert (await project.client.beta.threads.delete(thread.id)).deleted, "it can be deleted all the same"


async def test_a_stream_of_it_ends(project: Project, model: ScriptedModel, database_url: str) -> None:
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
        damage(database_url, "runs", thread.id)
        hold.open()
        *_, error, done = [event async for event in http.events(response)]

    assert (error.name, done.name) == ("error", "done")
    assert error.data["code"] == "content_lost"
