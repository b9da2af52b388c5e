"""What becomes of that which refers to something deleted: defined, whatever runs meanwhile."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openai import NotFoundError

from tests import http
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System, until

FUNCTION: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CODE: Any = {"type": "code_interpreter"}


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


async def uploaded(project: Project, count: int) -> list[str]:
    return [(await project.client.files.create(file=("a.txt", b"x"), purpose="assistants")).id for _ in range(count)]


def files_of(shown: Any) -> list[str]:
    return shown["tool_resources"]["code_interpreter"]["file_ids"]


@pytest.fixture(params=["deleted", "expired"])
def forget(request: pytest.FixtureRequest, project: Project, system: System) -> Any:
    """Make files go, in either way."""

    async def delete(*files: str) -> None:
        for file in files:
            await project.client.files.delete(file)

    async def expire(*files: str) -> None:
        system.query("UPDATE files SET expires_at = now() - interval '1 second' WHERE id = ANY(%s)", list(files))
        await until(lambda: not system.query("SELECT id FROM files WHERE id = ANY(%s)", list(files)))

    return delete if request.param == "deleted" else expire


async def test_what_refers_to_a_file_forgets_it(client: httpx2.AsyncClient, project: Project, forget: Any) -> None:
    one, two, three = await uploaded(project, 3)
    resources = {"tool_resources": {"code_interpreter": {"file_ids": [one, two, three]}, "file_search": {}}}
    assistant = (await client.post("/assistants", json={"model": "m", "tools": [CODE], **resources})).json()
    thread = (await client.post("/threads", json=resources)).json()
    bare = (await client.post("/assistants", json={"model": "m"})).json()
    async with http.session(project, openai_beta="assistants=v1") as v1:
        old = (await v1.post("/assistants", json={"model": "m", "file_ids": [three, one]})).json()

        await forget(one, two)

        assert (await v1.get(f"/assistants/{old['id']}")).json() == {**old, "file_ids": [three]}
    left = {"code_interpreter": {"file_ids": [three]}, "file_search": {}}
    assert (await client.get(f"/assistants/{assistant['id']}")).json() == {**assistant, "tool_resources": left}
    assert (await client.get(f"/threads/{thread['id']}")).json() == {**thread, "tool_resources": left}
    assert (await client.get(f"/assistants/{bare['id']}")).json() == bare


async def test_others_keep_their_files(client: httpx2.AsyncClient, project: Project, system: System) -> None:
    (mine,) = await uploaded(project, 1)
    async with Project.of(system) as stranger, http.session(stranger) as session:
        (theirs,) = await uploaded(stranger, 1)
        body = {"model": "m", "tool_resources": {"code_interpreter": {"file_ids": [theirs]}}}
        assistant = (await session.post("/assistants", json=body)).json()

        assert (await client.delete(f"/files/{theirs}")).status_code == 404
        await client.delete(f"/files/{mine}")

        assert (await session.get(f"/assistants/{assistant['id']}")).json() == assistant


async def test_messages_and_runs_tell_of_files_that_were(project: Project, model: ScriptedModel) -> None:
    """They are history. Runs to come are without them: the model is told that an image has been deleted."""
    (file,) = await uploaded(project, 1)
    name = model.script(Say("Nice."), Say("Gone."))
    async with http.session(project, openai_beta="assistants=v1") as v1:
        assistant = (await v1.post("/assistants", json={"model": name, "file_ids": [file]})).json()["id"]
        image: Any = [{"type": "image_file", "image_file": {"file_id": file}}]
        message = {"role": "user", "content": image, "file_ids": [file]}
        thread = (await v1.post("/threads", json={"messages": [message]})).json()["id"]

        async def run() -> Any:
            made = (await v1.post(f"/threads/{thread}/runs", json={"assistant_id": assistant})).json()
            await project.client.beta.threads.runs.poll(made["id"], thread_id=thread, poll_interval_ms=20)
            return (await v1.get(f"/threads/{thread}/runs/{made['id']}")).json()

        before = await run()
        messages = (await v1.get(f"/threads/{thread}/messages")).json()
        await project.client.files.delete(file)

        assert (await v1.get(f"/threads/{thread}/messages")).json() == messages
        assert (await v1.get(f"/threads/{thread}/runs/{before['id']}")).json() == before
        assert messages["data"][-1]["file_ids"] == before["file_ids"] == [file]
        assert (await run())["file_ids"] == []

    seen, unseen = (asked.messages[0]["content"] for asked in model.requests(name))
    assert seen[0]["type"] == "image_url"
    assert "deleted" in unseen


async def test_a_run_goes_on_without_its_assistant(project: Project, model: ScriptedModel) -> None:
    """It has a copy of all that it was told: while the model speaks, and through its function calls."""
    hold = Gate()
    name = model.script(CallFunctions([("f", {})], before=hold), Say("Done."))
    beta = project.client.beta
    assistant = await beta.assistants.create(model=name, tools=[FUNCTION], instructions="Be brief.")
    run = await beta.threads.create_and_run(assistant_id=assistant.id)
    await hold.reached()

    await beta.assistants.delete(assistant.id)

    hold.open()
    waiting = await beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=20)
    assert waiting.status == "requires_action"
    assert waiting.required_action is not None
    (call,) = waiting.required_action.submit_tool_outputs.tool_calls
    ended = await beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=run.thread_id,
        tool_outputs=[{"tool_call_id": call.id, "output": "x"}],
        poll_interval_ms=20,
    )
    assert (ended.status, ended.assistant_id, ended.instructions) == ("completed", assistant.id, "Be brief.")
    assert [one.body["messages"][0] for one in model.requests(name)] == [{"role": "system", "content": "Be brief."}] * 2
    (message,) = (await beta.threads.messages.list(run.thread_id)).data
    assert message.assistant_id == assistant.id
    with pytest.raises(NotFoundError, match=f"No assistant found with id '{assistant.id}'."):
        await beta.threads.runs.create(run.thread_id, assistant_id=assistant.id)


async def test_a_run_that_waits_for_its_thread_outlives_its_assistant(project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("f", {})]), Say("Second."))
    beta = project.client.beta
    assistant = await beta.assistants.create(model=name, tools=[FUNCTION])
    first = await beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    queued = await beta.threads.runs.create(
        first.thread_id, assistant_id=assistant.id, extra_body={"assistantd": {"when_busy": "enqueue"}}
    )

    await beta.assistants.delete(assistant.id)

    await beta.threads.runs.cancel(first.id, thread_id=first.thread_id)
    ended = await beta.threads.runs.poll(queued.id, thread_id=first.thread_id, poll_interval_ms=20)
    assert ended.status == "completed"


async def test_a_thread_takes_its_runs_with_it(
    client: httpx2.AsyncClient, project: Project, model: ScriptedModel, system: System
) -> None:
    """One that waits for its client, and one that waits for the thread; what comes for them is answered by 404."""
    name = model.script(CallFunctions([("f", {})]), Say("Never."))
    beta = project.client.beta
    assistant = await beta.assistants.create(model=name, tools=[FUNCTION])
    run = await beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    queued = await beta.threads.runs.create(
        run.thread_id, assistant_id=assistant.id, extra_body={"assistantd": {"when_busy": "enqueue"}}
    )
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls

    await beta.threads.delete(run.thread_id)

    path = f"/threads/{run.thread_id}"
    outputs = {"tool_outputs": [{"tool_call_id": call.id, "output": "x"}]}
    for method, address, body in (
        ("GET", f"{path}/runs/{run.id}", None),
        ("GET", f"{path}/runs/{queued.id}", None),
        ("GET", f"{path}/runs/{run.id}/events", None),
        ("POST", f"{path}/runs/{run.id}/cancel", None),
        ("POST", f"{path}/runs/{run.id}/submit_tool_outputs", outputs),
        ("POST", f"{path}/runs", {"assistant_id": assistant.id}),
        ("POST", f"{path}/messages", {"role": "user", "content": "x"}),
        ("DELETE", path, None),
    ):
        assert (await client.request(method, address, json=body)).status_code == 404, (method, address)
    for table in ("messages", "runs", "run_steps", "thread_activity"):
        assert system.query(f"SELECT count(*) FROM {table} WHERE thread_id = %s", run.thread_id) == [(0,)]
    assert len(model.requests(name)) == 1
    assert (await beta.assistants.retrieve(assistant.id)).id == assistant.id


async def test_files_are_listed_by_purpose_order_and_place(client: httpx2.AsyncClient, project: Project) -> None:
    purposes: list[Any] = ["assistants", "vision", "assistants", "batch", "assistants"]
    made = [
        (await project.client.files.create(file=(f"{n}.txt", b"x"), purpose=purpose)).id
        for n, purpose in enumerate(purposes)
    ]
    assistants = [made[0], made[2], made[4]]

    async def listed(**params: Any) -> tuple[list[str], bool]:
        page = (await client.get("/files", params=params)).json()
        return [file["id"] for file in page["data"]], page["has_more"]

    assert await listed() == (made[::-1], False)
    assert await listed(order="asc", limit=2) == (made[:2], True)
    assert await listed(order="asc", limit=10_000, after=made[1]) == (made[2:], False)
    assert await listed(purpose="assistants") == (assistants[::-1], False)
    assert await listed(purpose="assistants", order="asc", limit=2) == (assistants[:2], True)
    assert await listed(purpose="assistants", order="asc", after=assistants[1]) == (assistants[2:], False)
    assert await listed(purpose="assistants_output") == ([], False)
    await project.client.files.delete(made[2])
    assert await listed(purpose="assistants", order="asc", after=made[2]) == ([made[4]], False)
    for query, param in (("limit=0", "limit"), ("limit=10001", "limit"), ("order=up", "order"), ("after=x", "after")):
        answer = await client.get(f"/files?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
