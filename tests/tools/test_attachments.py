"""Files that come with messages, and v1's files of assistants: file_search finds them."""

import asyncio
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError

from tests import http
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project
from tests.tools.test_file_search import SEARCH, answer_of, steps_of
from tests.vector_stores import POLL_MS, upload

TEXT = "The tower is 324 metres tall."


def attached(file_id: str, *tools: str) -> Any:
    return [{"file_id": file_id, "tools": [{"type": tool} for tool in tools or ("file_search",)]}]


def message(file_id: str, *tools: str) -> Any:
    return {"role": "user", "content": "How tall?", "attachments": attached(file_id, *tools)}


def script(model: ScriptedModel) -> str:
    return model.script(CallFunctions([("file_search", {"queries": ["tower"]})]), Say("Tall【1:0†source】."))


async def store_files(project: Project, thread: Any) -> list[str]:
    (store,) = thread.tool_resources.file_search.vector_store_ids
    return [file.id for file in (await project.client.vector_stores.files.list(store, order="asc")).data]


@pytest.mark.parametrize("way", ["thread", "message", "thread and run", "additional message"])
async def test_a_file_that_comes_with_a_message_is_found(project: Project, model: ScriptedModel, way: str) -> None:
    client = project.client
    assistant = await client.beta.assistants.create(model=script(model), tools=[SEARCH])
    file_id = await upload(client, TEXT, "tower.txt")
    if way == "thread and run":
        run = await client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id, thread={"messages": [message(file_id)]}, poll_interval_ms=POLL_MS
        )
    else:
        thread = await client.beta.threads.create(messages=[message(file_id)] if way == "thread" else [])
        if way == "message":
            await client.beta.threads.messages.create(thread.id, **message(file_id))
        more: Any = {"additional_messages": [message(file_id)]} if way == "additional message" else {}
        run = await client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=POLL_MS, **more
        )

    assert run.status == "completed", run.last_error
    thread = await client.beta.threads.retrieve(run.thread_id)
    (citation,) = (await answer_of(project, thread)).annotations
    assert citation.file_citation.file_id == file_id
    assert await store_files(project, thread) == [file_id]
    (store,) = thread.tool_resources.file_search.vector_store_ids  # type: ignore[union-attr]
    expiry = (await client.vector_stores.retrieve(store)).expires_after
    assert expiry is not None
    assert expiry.days == 7


async def test_the_threads_own_store_takes_them(project: Project) -> None:
    client = project.client
    first, second, third = [await upload(client, TEXT, f"{number}.txt") for number in range(3)]
    store = await client.vector_stores.create(file_ids=[first])
    resources: Any = {"file_search": {"vector_store_ids": [store.id]}}

    thread = await client.beta.threads.create(messages=[message(second)], tool_resources=resources)
    for _ in range(2):  # the same file again stays as it is
        await client.beta.threads.messages.create(thread.id, **message(third))

    again = await client.beta.threads.retrieve(thread.id)
    assert sorted(await store_files(project, again)) == sorted([first, second, third])
    assert len((await client.vector_stores.list()).data) == 1


async def test_a_described_store_takes_them_too(project: Project) -> None:
    client = project.client
    first, second = await upload(client, TEXT), await upload(client, TEXT)
    described: Any = {"file_search": {"vector_stores": [{"file_ids": [first], "metadata": {"kind": "mine"}}]}}

    thread = await client.beta.threads.create(messages=[message(second)], tool_resources=described)

    assert sorted(await store_files(project, thread)) == sorted([first, second])
    (store,) = (await client.vector_stores.list()).data
    assert store.metadata == {"kind": "mine"}


async def test_files_for_other_tools_are_not_searched(project: Project) -> None:
    file_id = await upload(project.client, TEXT)

    thread = await project.client.beta.threads.create(messages=[message(file_id, "code_interpreter")])

    assert thread.tool_resources is not None
    assert thread.tool_resources.file_search is None
    assert (await project.client.vector_stores.list()).data == []


async def test_messages_at_the_same_moment_share_one_store(project: Project) -> None:
    client = project.client
    files = [await upload(client, TEXT, f"{number}.txt") for number in range(6)]
    thread = await client.beta.threads.create()

    await asyncio.gather(*(client.beta.threads.messages.create(thread.id, **message(file)) for file in files))

    again = await client.beta.threads.retrieve(thread.id)
    assert sorted(await store_files(project, again)) == sorted(files)
    assert len((await client.vector_stores.list()).data) == 1


async def test_a_store_that_was_deleted_is_made_anew(project: Project) -> None:
    client = project.client
    first, second = await upload(client, TEXT), await upload(client, TEXT)
    thread = await client.beta.threads.create(messages=[message(first)])
    (store,) = thread.tool_resources.file_search.vector_store_ids  # type: ignore[union-attr]
    await client.vector_stores.delete(store)  # type: ignore[arg-type]

    await client.beta.threads.messages.create(thread.id, **message(second))

    assert await store_files(project, await client.beta.threads.retrieve(thread.id)) == [second]


async def test_what_is_refused_leaves_no_store(project: Project, model: ScriptedModel) -> None:
    client = project.client
    file_id = await upload(client, TEXT)
    gate = Gate()
    assistant = await client.beta.assistants.create(model=model.script(Say("So.", before=gate)))
    thread = await client.beta.threads.create()
    run = await client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)

    with pytest.raises(BadRequestError, match=f"while a run {run.id} is active"):
        await client.beta.threads.messages.create(thread.id, **message(file_id))
    with pytest.raises(NotFoundError):
        await client.beta.threads.messages.create("thread_of_nobody", **message(file_id))
    with pytest.raises(NotFoundError):
        await client.beta.threads.messages.create(thread.id, **message("file-of-nobody"))
    with pytest.raises(NotFoundError):
        await client.beta.threads.create_and_run(assistant_id="asst_of_nobody", thread={"messages": [message(file_id)]})
    more: Any = {"additional_messages": [message(file_id)]}
    with pytest.raises(BadRequestError, match=f"already has an active run {run.id}"):
        await client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, **more)
    with pytest.raises(NotFoundError):
        await client.beta.threads.runs.create(thread.id, assistant_id="asst_of_nobody", **more)

    assert (await client.vector_stores.list()).data == []
    gate.open()


V1 = {"openai_beta": "assistants=v1"}
RETRIEVAL: Any = {"type": "retrieval"}


async def test_v1_finds_the_assistants_files(project: Project, model: ScriptedModel) -> None:
    """As articles of its time did it: the file comes after the assistant, and the first answer knows it."""
    file_id = await upload(project.client, TEXT, "tower.txt")
    async with http.session(project, **V1) as client:
        made = (await client.post("/assistants", json={"model": script(model), "tools": [RETRIEVAL]})).json()
        await client.post(f"/assistants/{made['id']}", json={"file_ids": [file_id]})
        run = (await client.post("/threads/runs", json={"assistant_id": made["id"]})).json()
        await project.client.beta.threads.runs.poll(run["id"], thread_id=run["thread_id"], poll_interval_ms=POLL_MS)
        messages = (await client.get(f"/threads/{run['thread_id']}/messages")).json()["data"]
        steps = (await client.get(f"/threads/{run['thread_id']}/runs/{run['id']}/steps?order=asc")).json()["data"]

    (citation,) = messages[0]["content"][0]["text"]["annotations"]
    assert citation["file_citation"] == {"file_id": file_id, "quote": TEXT}
    (call,) = steps[0]["step_details"]["tool_calls"]
    assert (call["type"], call["retrieval"]) == ("retrieval", {})


async def test_v1_searches_no_file_that_an_assistant_has_no_room_for(project: Project) -> None:
    """One that it has already is none more."""
    files = [await upload(project.client, TEXT, f"{number}.txt") for number in range(21)]
    async with http.session(project, **V1) as client:
        told = {"model": "x", "tools": [RETRIEVAL], "file_ids": files[:20]}
        path = f"/assistants/{(await client.post('/assistants', json=told)).json()['id']}/files"
        refused = await client.post(path, json={"file_id": files[20]})
        again = await client.post(path, json={"file_id": files[0]})

    assert (refused.status_code, again.status_code) == (400, 200)
    assert "has 20 files, which is the most it may have" in refused.json()["error"]["message"]
    (store,) = (await project.client.vector_stores.list()).data
    assert store.file_counts.total == 20


async def test_v1_streams_its_own_shapes(project: Project, model: ScriptedModel) -> None:
    file_id = await upload(project.client, TEXT, "tower.txt")
    async with http.session(project, **V1) as client:
        body = {"model": script(model), "tools": [RETRIEVAL], "file_ids": [file_id]}
        made = (await client.post("/assistants", json=body)).json()
        told = (await client.post("/threads/runs", json={"assistant_id": made["id"], "stream": True})).text

    assert '"type":"retrieval"' in told
    assert '"type":"file_search"' not in told
    assert f'"quote":"{TEXT}"' in told


async def test_v1s_files_of_a_message_are_found(project: Project, model: ScriptedModel) -> None:
    file_id = await upload(project.client, TEXT, "tower.txt")
    async with http.session(project, **V1) as client:
        made = (await client.post("/assistants", json={"model": script(model), "tools": [RETRIEVAL]})).json()
        asked = {"role": "user", "content": "How tall?", "file_ids": [file_id]}
        run = (
            await client.post("/threads/runs", json={"assistant_id": made["id"], "thread": {"messages": [asked]}})
        ).json()
    done = await project.client.beta.threads.runs.poll(run["id"], thread_id=run["thread_id"], poll_interval_ms=POLL_MS)

    (search, _) = await steps_of(project, done)
    assert [result.file_id for result in search.step_details.tool_calls[0].file_search.results] == [file_id]


async def test_v1_detaches_what_is_no_longer_to_be_found(project: Project) -> None:
    first, second, third = [await upload(project.client, TEXT, f"{number}.txt") for number in range(3)]
    async with http.session(project, **V1) as client:
        body = {"model": "m", "tools": [RETRIEVAL], "file_ids": [first, second]}
        made = (await client.post("/assistants", json=body)).json()
        assistant = await project.client.beta.assistants.retrieve(made["id"])
        assert sorted(await store_files(project, assistant)) == sorted([first, second])

        await client.delete(f"/assistants/{made['id']}/files/{first}")
        assert await store_files(project, assistant) == [second]
        await client.post(f"/assistants/{made['id']}/files", json={"file_id": third})
        assert sorted(await store_files(project, assistant)) == sorted([second, third])
        await client.post(f"/assistants/{made['id']}", json={"file_ids": [first]})
        assert await store_files(project, assistant) == [first]


async def test_v1_reads_no_files_for_an_assistant_that_does_not_search(project: Project) -> None:
    file_id = await upload(project.client, TEXT)
    async with http.session(project, **V1) as client:
        body = {"model": "m", "tools": [{"type": "code_interpreter"}], "file_ids": [file_id]}
        made = (await client.post("/assistants", json=body)).json()
        assert (await project.client.vector_stores.list()).data == []

        await client.post(f"/assistants/{made['id']}", json={"tools": [RETRIEVAL]})

    assert await store_files(project, await project.client.beta.assistants.retrieve(made["id"])) == [file_id]
