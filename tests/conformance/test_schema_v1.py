"""Every operation of v1 that we serve, in v1's shapes: each answer and event passes the referee's v1 contract."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project

FUNCTION: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
RETRIEVAL: Any = {"type": "retrieval"}


@pytest.fixture
async def v1(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project, openai_beta="assistants=v1") as session:
        yield session


def ok(response: httpx2.Response) -> Any:
    """The body of an answer that is no error."""
    assert response.status_code == 200, response.text
    return response.json()


async def ended(v1: httpx2.AsyncClient, path: str) -> Any:
    """The run at that path, once it is over or waits."""
    while True:
        run = ok(await v1.get(path))
        if run["status"] not in {"queued", "in_progress", "cancelling"}:
            return run


async def test_assistants(v1: httpx2.AsyncClient) -> None:
    made = ok(await v1.post("/assistants", json={"model": "m", "tools": [RETRIEVAL, FUNCTION]}))
    path = f"/assistants/{made['id']}"

    changed = ok(await v1.post(path, json={"name": "Ada", "file_ids": []}))
    listed = ok(await v1.get("/assistants"))

    assert changed == ok(await v1.get(path)) == listed["data"][0]
    assert changed["tools"] == [RETRIEVAL, FUNCTION]
    assert (ok(await v1.delete(path)))["deleted"]


async def test_files(v1: httpx2.AsyncClient) -> None:
    upload = {"files": {"file": ("a.txt", b"content")}, "data": {"purpose": "assistants"}}
    made = ok(await v1.post("/files", **upload))  # pyright: ignore[reportArgumentType]
    path = f"/files/{made['id']}"

    assert ok(await v1.get(path)) == made == (ok(await v1.get("/files")))["data"][0]
    assert (await v1.get(f"{path}/content")).content == b"content"
    assert (ok(await v1.delete(path)))["deleted"]


async def test_models(v1: httpx2.AsyncClient, model: ScriptedModel) -> None:
    model.script(Say("Hello."))  # a list has to have something in it

    one = ok(await v1.get("/models"))["data"][0]

    assert ok(await v1.get(f"/models/{one['id']}")) == one


async def test_threads_and_messages(v1: httpx2.AsyncClient) -> None:
    thread = ok(await v1.post("/threads", json={"messages": [{"role": "user", "content": "Hello?"}]}))
    path = f"/threads/{thread['id']}"
    message = ok(await v1.post(f"{path}/messages", json={"role": "user", "content": "Anybody?"}))
    place = f"{path}/messages/{message['id']}"

    changed = ok(await v1.post(place, json={"metadata": {"a": "b"}}))
    listed = ok(await v1.get(f"{path}/messages"))

    assert changed == ok(await v1.get(place)) == listed["data"][0]
    assert all(shown["file_ids"] == [] for shown in listed["data"])
    assert ok(await v1.post(path, json={"metadata": {"c": "d"}})) == ok(await v1.get(path))
    assert (ok(await v1.delete(path)))["deleted"]


async def test_runs(v1: httpx2.AsyncClient, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("look", {"at": "a"}), ("look", {"at": "b"})]), Say("Both seen."))
    assistant = ok(await v1.post("/assistants", json={"model": name, "tools": [FUNCTION, RETRIEVAL]}))
    begun = ok(await v1.post("/threads/runs", json={"assistant_id": assistant["id"]}))
    path = f"/threads/{begun['thread_id']}/runs/{begun['id']}"

    waiting = await ended(v1, path)
    calls = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = [{"tool_call_id": call["id"], "output": "seen"} for call in calls]
    ok(await v1.post(f"{path}/submit_tool_outputs", json={"tool_outputs": outputs}))
    done = await ended(v1, path)
    steps = (ok(await v1.get(f"{path}/steps")))["data"]

    assert done["status"] == "completed"
    assert [step["type"] for step in steps] == ["message_creation", "tool_calls"]
    assert ok(await v1.get(f"{path}/steps/{steps[0]['id']}")) == steps[0]
    changed = ok(await v1.post(path, json={"metadata": {"a": "b"}}))
    assert changed == (ok(await v1.get(f"/threads/{done['thread_id']}/runs")))["data"][0]


async def test_cancelling(v1: httpx2.AsyncClient, model: ScriptedModel) -> None:
    gate = Gate()
    assistant = ok(await v1.post("/assistants", json={"model": model.script(Say(["One ", gate, "two"]))}))
    thread = ok(await v1.post("/threads"))
    runs = f"/threads/{thread['id']}/runs"
    run = ok(await v1.post(runs, json={"assistant_id": assistant["id"]}))
    await gate.reached()

    cancelling = ok(await v1.post(f"{runs}/{run['id']}/cancel"))

    assert cancelling["status"] == "cancelling"
    assert (await ended(v1, f"{runs}/{run['id']}"))["status"] == "cancelled"


async def test_streams(v1: httpx2.AsyncClient, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("look", {"at": "a"})], text="Let me see."), Say("Seen."))
    assistant = ok(await v1.post("/assistants", json={"model": name, "tools": [FUNCTION, RETRIEVAL]}))

    async with v1.stream("POST", "/threads/runs", json={"assistant_id": assistant["id"], "stream": True}) as response:
        first = [event async for event in http.events(response)]
    run = first[-2].data
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    body = {"tool_outputs": [{"tool_call_id": call["id"], "output": "it"}], "stream": True}
    path = f"/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
    async with v1.stream("POST", path, json=body) as response:
        second = [event async for event in http.events(response)]

    assert [event.name for event in (first[-2], second[-2])] == ["thread.run.requires_action", "thread.run.completed"]
    for event in (*first, *second):
        if event.name.startswith("thread.run.") and ".step." not in event.name:
            assert event.data["tools"] == [FUNCTION, RETRIEVAL]
