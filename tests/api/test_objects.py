"""Creating, modifying and deleting: what is absent stays, what is null empties, what is deleted is gone."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System

FUNCTION: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


async def test_an_assistant_keeps_what_it_was_given(client: httpx2.AsyncClient) -> None:
    schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    given = {
        "model": "m",
        "name": "Ada",
        "description": "Helps",
        "instructions": "Be brief.",
        "tools": [
            FUNCTION,
            {"type": "file_search", "file_search": {"max_num_results": 5}},
            {"type": "code_interpreter"},
        ],
        "temperature": 0,
        "top_p": 0.5,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": schema},
        "metadata": {"team": "blue"},
    }

    made = (await client.post("/assistants", json=given)).json()

    assert {name: made[name] for name in given} == given
    assert (await client.get(f"/assistants/{made['id']}")).json() == made


async def test_an_assistant_has_openais_defaults(client: httpx2.AsyncClient) -> None:
    made = (await client.post("/assistants", json={"model": "m"})).json()

    assert made == {
        "id": made["id"],
        "object": "assistant",
        "created_at": made["created_at"],
        "name": None,
        "description": None,
        "model": "m",
        "instructions": None,
        "tools": [],
        "tool_resources": {},
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "reasoning_effort": None,
        "response_format": "auto",
    }


async def test_null_within_an_object_says_no_more_than_absence(client: httpx2.AsyncClient) -> None:
    """But in a schema it is the client's own word."""
    schema = {"type": "object", "properties": {"a": {"default": None}}}
    given = {
        "model": "m",
        "tools": [
            {"type": "function", "function": {"name": "f", "description": None, "strict": None, "parameters": schema}},
            {"type": "file_search", "file_search": None},
        ],
        "tool_resources": {"code_interpreter": None, "file_search": None},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "description": None, "strict": None, "schema": schema},
        },
    }

    made = (await client.post("/assistants", json=given)).json()

    assert made["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": schema}},
        {"type": "file_search"},
    ]
    assert made["tool_resources"] == {}
    assert made["response_format"] == {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


async def test_modifying_changes_only_what_is_sent(client: httpx2.AsyncClient) -> None:
    given = {"model": "m", "name": "Ada", "tools": [FUNCTION], "temperature": 0.5, "metadata": {"a": "b"}}
    made = (await client.post("/assistants", json=given)).json()
    path = f"/assistants/{made['id']}"

    renamed = (await client.post(path, json={"name": "Eve"})).json()
    emptied = (await client.post(path, json={"tools": [], "metadata": {}, "temperature": 0, "name": None})).json()
    untouched = (await client.post(path, json={})).json()

    assert renamed == {**made, "name": "Eve"}
    assert emptied == {**made, "name": None, "tools": [], "metadata": {}, "temperature": 0}
    assert untouched == emptied


async def test_a_thread_without_a_body(client: httpx2.AsyncClient) -> None:
    made = (await client.post("/threads")).json()

    assert made == {
        "id": made["id"],
        "object": "thread",
        "created_at": made["created_at"],
        "metadata": {},
        "tool_resources": {},
    }
    changed = (await client.post(f"/threads/{made['id']}", json={"metadata": {"a": "b"}})).json()
    assert changed == {**made, "metadata": {"a": "b"}}


async def test_message_content_in_parts(client: httpx2.AsyncClient) -> None:
    thread = (await client.post("/threads", json={})).json()["id"]
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "low"}}
    content = [{"type": "text", "text": "What is this?"}, picture]

    message = (await client.post(f"/threads/{thread}/messages", json={"role": "user", "content": content})).json()

    assert message["content"] == [{"type": "text", "text": {"value": "What is this?", "annotations": []}}, picture]
    assert message["role"] == "user"
    assert message["status"] == "completed"
    path = f"/threads/{thread}/messages/{message['id']}"
    assert (await client.post(path, json={"metadata": {"seen": "yes"}})).json()["metadata"] == {"seen": "yes"}


async def test_images_reach_the_model(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("A cat."))
    picture = await project.client.files.create(file=("cat.png", b"\x89PNG..."), purpose="vision")
    assistant = await project.client.beta.assistants.create(model=name)
    content: Any = [{"type": "text", "text": "What?"}, {"type": "image_file", "image_file": {"file_id": picture.id}}]

    await project.client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": content}]}, poll_interval_ms=20
    )

    (asked,) = (await model.requested(name)).messages
    assert asked["content"][1]["image_url"]["url"] == "data:image/png;base64,iVBORy4uLg=="


async def test_deleted_is_gone(client: httpx2.AsyncClient, project: Project, model: ScriptedModel) -> None:
    assistant = await project.client.beta.assistants.create(model=model.script(Say("Hello.")))
    run = await project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    thread = f"/threads/{run.thread_id}"

    gone = (await client.delete(f"/assistants/{assistant.id}")).json()
    kept = await client.get(f"{thread}/runs/{run.id}")
    thread_gone = (await client.delete(thread)).json()

    assert gone == {"id": assistant.id, "object": "assistant.deleted", "deleted": True}
    assert kept.json()["assistant_id"] == assistant.id
    assert thread_gone == {"id": run.thread_id, "object": "thread.deleted", "deleted": True}
    for path in (thread, f"{thread}/messages", f"{thread}/runs/{run.id}", f"{thread}/runs/{run.id}/steps"):
        assert (await client.get(path)).status_code == 404
    assert (await client.delete(thread)).status_code == 404


async def test_a_thread_can_be_deleted_under_its_run(project: Project, model: ScriptedModel, system: System) -> None:
    """The worker finds the row gone and stops; nothing of the run is left."""
    hold = Gate()
    name = model.script(Say(["One ", hold, "two"]))
    assistant = await project.client.beta.assistants.create(model=name)
    run = await project.client.beta.threads.create_and_run(assistant_id=assistant.id)
    await hold.reached()

    await project.client.beta.threads.delete(run.thread_id)

    await model.disconnected(name)
    for table in ("messages", "runs", "run_steps"):
        assert system.query(f"SELECT count(*) FROM {table} WHERE thread_id = %s", run.thread_id) == [(0,)]


async def test_metadata_of_runs(client: httpx2.AsyncClient, project: Project, model: ScriptedModel) -> None:
    assistant = await project.client.beta.assistants.create(model=model.script(Say("Hello.")))
    run = await project.client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, metadata={"a": "b"}, poll_interval_ms=20
    )
    path = f"/threads/{run.thread_id}/runs/{run.id}"

    changed = (await client.post(path, json={"metadata": {"c": "d"}})).json()

    assert run.metadata == {"a": "b"}
    assert changed["metadata"] == {"c": "d"}
    assert (await client.post(path, json={"status": "failed"})).status_code == 400


async def test_files_come_back_as_they_went(project: Project) -> None:
    content = bytes(range(256)) * 20_000  # 5 MB: beyond what is kept in memory
    files = project.client.files

    made = await files.create(file=("räksmörgås.bin", content), purpose="assistants")

    assert (made.bytes, made.filename, made.purpose, made.status) == (
        len(content),
        "räksmörgås.bin",
        "assistants",
        "processed",
    )
    assert await files.retrieve(made.id) == made
    assert (await files.content(made.id)).content == content
    assert [file.id for file in (await files.list(purpose="assistants")).data] == [made.id]
    assert (await files.list(purpose="vision")).data == []
    assert (await files.delete(made.id)).deleted


async def test_models_are_listed(project: Project) -> None:
    models = project.client.models

    assert {one.object for one in (await models.list()).data} <= {"model"}


async def test_v1_speaks_of_files_and_retrieval(project: Project, model: ScriptedModel) -> None:
    file = await project.client.files.create(file=("a.txt", b"x"), purpose="assistants")
    async with http.session(project, openai_beta="assistants=v1") as v1, http.session(project) as v2:
        made = (
            await v1.post("/assistants", json={"model": model.script(Say("Hello.")), "tools": [{"type": "retrieval"}]})
        ).json()
        changed = (await v1.post(f"/assistants/{made['id']}", json={"file_ids": [file.id]})).json()
        thread = (await v1.post("/threads", json={})).json()["id"]
        message = {"role": "user", "content": "Hi", "file_ids": [file.id]}
        said = (await v1.post(f"/threads/{thread}/messages", json=message)).json()
        run = (await v1.post(f"/threads/{thread}/runs", json={"assistant_id": made["id"]})).json()
        seen = (await v2.get(f"/assistants/{made['id']}")).json()

    assert made["tools"] == [{"type": "retrieval"}]
    assert made["file_ids"] == []
    assert changed["file_ids"] == [file.id]
    assert said["file_ids"] == [file.id]
    assert (run["file_ids"], run["tools"]) == ([file.id], [{"type": "retrieval"}])
    assert seen["tools"] == [{"type": "file_search"}]
    assert "file_ids" not in seen


async def test_arguments_that_are_no_json_reach_the_client_as_they_are(project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("f", "{broken\0")]))
    assistant = await project.client.beta.assistants.create(model=name, tools=[FUNCTION])

    run = await project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)

    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert call.function.arguments == "{broken\N{REPLACEMENT CHARACTER}"
