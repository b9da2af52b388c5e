"""Content that nobody can open any more: whoever needs it is told so at once, and nobody waits for it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from openai import InternalServerError

from shared.files.storage import place
from shared.vault.contents import ContentLost
from tests import http
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System, until
from tests.vector_stores import POLL_MS

CUT_OFF = {
    "messages": "UPDATE messages SET content = jsonb_build_array(left(content ->> 0, 80)) WHERE thread_id = %s",
    "runs": "UPDATE runs SET instructions = left(instructions, 80) WHERE thread_id = %s AND waiting = %s",
}
KEY_ID = slice(25, 41)  # of the data key, in the head of a sealed file
PNG = b"\x89PNG\r\n\x1a\n"
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


@pytest.mark.parametrize("harm", ["bytes", "key"])
async def test_files_of_it_are_not_waited_for(
    project: Project, system: System, model: ScriptedModel, harm: str
) -> None:
    """By requests, by a run that shows a picture, and by a store's readers."""
    client, beta = project.client, project.client.beta
    picture = await client.files.create(file=("a.png", PNG * 9), purpose="vision")
    notes = await client.files.create(file=("a.txt", b"It rains."), purpose="assistants")
    content: Any = [{"type": "image_file", "image_file": {"file_id": picture.id}}]
    thread = await beta.threads.create(messages=[{"role": "user", "content": content}])
    assistant = await beta.assistants.create(model=model.script(Say("never said")))
    store = await client.vector_stores.create()

    with harmed(system, harm, picture.id, notes.id):
        async with asyncio.timeout(10):
            for file in (picture, notes):
                with pytest.raises(InternalServerError) as error:
                    await client.files.content(file.id)
                assert (error.value.status_code, error.value.code) == (500, "content_lost")
                assert error.value.response.headers["x-should-retry"] == "false"
            run = await beta.threads.runs.create_and_poll(
                thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=POLL_MS
            )
            read = await client.vector_stores.files.create_and_poll(
                notes.id, vector_store_id=store.id, poll_interval_ms=POLL_MS
            )

    for ended in (run, read):
        assert ended.last_error is not None
        assert (ended.status, ended.last_error.message) == ("failed", ContentLost.TOLD)


@contextmanager
def harmed(system: System, harm: str, *file_ids: str) -> Iterator[None]:
    """Files whose end is cut off in the store, or that were sealed by a key whose row is damaged; then as before."""
    paths = [system.root / "data" / "files" / place(file_id) for file_id in file_ids]
    lay = [path.read_bytes() for path in paths]
    key_id = uuid4()
    for path, lies in zip(paths, lay, strict=True):
        path.write_bytes(lies[:-1] if harm == "bytes" else lies[: KEY_ID.start] + key_id.bytes + lies[KEY_ID.stop :])
    system.query(
        "INSERT INTO data_keys (id, project_id, master, wrapped, retired_at) SELECT %s, project_id, master, '1', now() "
        "FROM data_keys WHERE id = %s",
        key_id,
        UUID(bytes=lay[0][KEY_ID]),
    )
    try:
        yield
    finally:
        system.query("DELETE FROM data_keys WHERE id = %s", key_id)
        for path, lies in zip(paths, lay, strict=True):
            path.write_bytes(lies)


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
