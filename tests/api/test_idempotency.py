"""Requests with an Idempotency-Key are carried out once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.http import Event
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System

FUNCTION: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


def key(value: str) -> dict[str, str]:
    return {"idempotency-key": value}


async def test_the_same_request_gets_the_same_answer(client: httpx2.AsyncClient) -> None:
    first = await client.post("/assistants", json={"model": "m"}, headers=key("a"))
    again = await client.post("/assistants", json={"model": "m"}, headers=key("a"))
    other = await client.post("/assistants", json={"model": "m"}, headers=key("b"))

    assert first.json() == again.json()
    assert other.json()["id"] != first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert len((await client.get("/assistants")).json()["data"]) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [("/assistants", {"model": "other"}), ("/threads", {}), ("/assistants", {"model": "m", "name": "n"})],
)
async def test_the_key_of_another_request_is_refused(client: httpx2.AsyncClient, path: str, body: Any) -> None:
    await client.post("/assistants", json={"model": "m"}, headers=key("a"))

    answer = await client.post(path, json=body, headers=key("a"))

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "idempotency_key_reused"


async def test_many_at_once_are_one(client: httpx2.AsyncClient, project: Project) -> None:
    thread = (await project.client.beta.threads.create()).id
    body = {"role": "user", "content": "Once."}

    answers = await asyncio.gather(
        *(client.post(f"/threads/{thread}/messages", json=body, headers=key("m")) for _ in range(8))
    )

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await client.get(f"/threads/{thread}/messages")).json()["data"]) == 1


async def test_keys_belong_to_projects(client: httpx2.AsyncClient, system: System) -> None:
    mine = (await client.post("/threads", json={}, headers=key("a"))).json()
    async with Project.of(system) as stranger, http.session(stranger) as session:
        theirs = (await session.post("/threads", json={}, headers=key("a"))).json()

    assert mine["id"] != theirs["id"]


async def test_a_refused_request_may_be_corrected(client: httpx2.AsyncClient) -> None:
    refused = await client.post("/assistants", json={"model": 5}, headers=key("a"))
    corrected = await client.post("/assistants", json={"model": "m"}, headers=key("a"))

    assert (refused.status_code, corrected.status_code) == (400, 200)


async def test_a_run_is_created_once_and_runs(
    client: httpx2.AsyncClient, project: Project, model: ScriptedModel
) -> None:
    name = model.script(Say("Once."))
    body = {"assistant_id": (await project.client.beta.assistants.create(model=name)).id}

    answers = await asyncio.gather(*(client.post("/threads/runs", json=body, headers=key("r")) for _ in range(4)))

    (run,) = {answer.json()["id"] for answer in answers}
    thread = answers[0].json()["thread_id"]
    ended = await project.client.beta.threads.runs.poll(run, thread_id=thread, poll_interval_ms=20)
    assert ended.status == "completed"
    assert len(model.requests(name)) == 1


async def stream(client: httpx2.AsyncClient, path: str, body: Any, name: str) -> list[Event]:
    async with client.stream("POST", path, json={**body, "stream": True}, headers=key(name)) as response:
        return [event async for event in http.events(response)]


async def test_a_stream_is_streamed_again(client: httpx2.AsyncClient, project: Project, model: ScriptedModel) -> None:
    """A client whose connection broke repeats its request and gets the same run from the beginning."""
    name = model.script(CallFunctions([("f", {})]), Say("Done."))
    body = {"assistant_id": (await project.client.beta.assistants.create(model=name, tools=[FUNCTION])).id}

    first = await stream(client, "/threads/runs", body, "one")
    assert await stream(client, "/threads/runs", body, "one") == first
    run = first[-2].data
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    path = f"/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
    outputs = {"tool_outputs": [{"tool_call_id": call["id"], "output": "x"}]}

    second = await stream(client, path, outputs, "two")

    assert await stream(client, path, outputs, "two") == second
    assert second[0].name == "thread.run.step.completed"
    assert len(model.requests(name)) == 2


async def test_a_busy_thread_is_refused_under_a_key_too(
    client: httpx2.AsyncClient, project: Project, model: ScriptedModel
) -> None:
    name = model.script(CallFunctions([("f", {})]))
    assistant = (await project.client.beta.assistants.create(model=name, tools=[FUNCTION])).id
    run = await project.client.beta.threads.create_and_run_poll(assistant_id=assistant, poll_interval_ms=20)

    answer = await client.post(f"/threads/{run.thread_id}/runs", json={"assistant_id": assistant}, headers=key("x"))

    assert answer.status_code == 400
    assert "already has an active run" in answer.json()["error"]["message"]


async def test_uploads_under_a_key(client: httpx2.AsyncClient) -> None:
    async def upload(content: bytes, name: str = "a.txt") -> httpx2.Response:
        files = {"file": (name, content)}
        return await client.post("/files", data={"purpose": "assistants"}, files=files, headers=key("f"))

    assert (await upload(b"content")).json() == (await upload(b"content")).json()
    assert (await upload(b"another")).status_code == 400
    assert (await upload(b"content", "b.txt")).status_code == 400
    (file,) = (await client.get("/files")).json()["data"]
    assert (await client.get(f"/files/{file['id']}/content")).content == b"content"


async def test_a_key_is_forgotten_after_a_day(client: httpx2.AsyncClient, system: System) -> None:
    first = await client.post("/threads", json={}, headers=key("yesterday's"))
    system.query(
        "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours' WHERE subject = %s",
        first.json()["id"],
    )
    second = await client.post("/threads", json={"metadata": {"a": "b"}}, headers=key("yesterday's"))

    assert second.status_code == 200
    assert second.json()["id"] != first.json()["id"]


async def test_a_key_that_is_too_long_is_refused(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/threads", json={}, headers=key("k" * 256))).status_code == 400
