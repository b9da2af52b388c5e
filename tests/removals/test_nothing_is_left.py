"""After a whole life and its deletion nothing of it is anywhere, but for what is named here."""

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import redis
from openai import NotFoundError

from tests import http
from tests.removals.remains import remains
from tests.sandbox.service import SandboxService
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System, until
from tests.transfer import command, said
from tests.vector_stores import POLL_MS

COUNTED = {"usage_facts", "usage_minutes", "usage_of_assistants", "usage_bytes"}
"""What was used was used: these keep ids of projects, keys, assistants and stores, and no words of anybody's."""

AUDITED = {"audit_entries"}
"""The log of who deleted what keeps the ids of it for good, and no words but the names of projects and keys."""

ONE_MINUTE = timedelta(minutes=1)

TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
    {"type": "file_search"},
    {"type": "code_interpreter"},
]


@dataclass
class Life:
    """What there was: words that were planted, and ids by what they are of."""

    word: str
    ids: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def add(self, kind: str, object_id: str) -> str:
        self.ids.setdefault(kind, []).append(object_id)
        return object_id

    @property
    def needles(self) -> list[str]:
        return [self.word, *(one for of_kind in self.ids.values() for one in of_kind)]


async def live(project: Project, model: ScriptedModel) -> Life:
    """Runs with all tools, streamed and not, over files, stores, an upload and keys of idempotency."""
    client, beta = project.client, project.client.beta
    word = f"planted{uuid4().hex}"
    life = Life(word)
    notes = await client.files.create(
        file=(f"{word}.txt", f"It rains {word} in Bergen.".encode()), purpose="assistants"
    )
    life.add("file", notes.id)
    store = await client.vector_stores.create(name=word, metadata={"word": word})
    life.add("store", store.id)
    await client.vector_stores.files.create_and_poll(
        notes.id, vector_store_id=store.id, attributes={"word": word}, poll_interval_ms=POLL_MS
    )
    code = f"open('/mnt/data/{word}.csv', 'w').write('{word}'); print('{word}')"
    script = model.script(
        CallFunctions([("weather", {"city": word})]),
        CallFunctions([("file_search", {"queries": [f"rain {word}"]})]),
        CallFunctions([("code_interpreter", {"code": code})]),
        Say(f"It rains {word}."),
        Say(f"Again {word}."),
        CallFunctions([("weather", {"city": word})]),
    )
    key = {"Idempotency-Key": uuid4().hex}
    assistant = await beta.assistants.create(
        model=script,
        instructions=word,
        tools=TOOLS,
        tool_resources={
            "file_search": {"vector_store_ids": [store.id]},
            "code_interpreter": {"file_ids": [notes.id]},
        },
        extra_headers=key,
    )
    life.add("assistant", assistant.id)
    thread = await beta.threads.create(
        messages=[{"role": "user", "content": word}],
        metadata={"word": word},
        tool_resources={"code_interpreter": {"file_ids": [notes.id]}},
        extra_headers={"Idempotency-Key": uuid4().hex},
    )
    life.add("thread", thread.id)
    first = await beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=POLL_MS
    )
    assert first.required_action is not None
    (call,) = first.required_action.submit_tool_outputs.tool_calls
    async with beta.threads.runs.submit_tool_outputs_stream(
        run_id=first.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": word}]
    ) as stream:
        await stream.until_done()
    ended = await beta.threads.runs.retrieve(first.id, thread_id=thread.id)
    assert ended.status == "completed", ended.last_error
    await beta.threads.messages.create(
        thread.id,
        role="user",
        content=word,
        attachments=[{"file_id": notes.id, "tools": [{"type": "code_interpreter"}]}],
        extra_headers={"Idempotency-Key": uuid4().hex},
    )
    async with http.session(project, idempotency_key=uuid4().hex) as session:
        await session.post(f"/threads/{thread.id}/runs", json={"assistant_id": assistant.id, "stream": True})
    await beta.threads.messages.create(thread.id, role="user", content=word)
    waiting = await beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=POLL_MS
    )
    assert waiting.status == "requires_action"
    for run in (await beta.threads.runs.list(thread.id)).data:
        life.add("run", run.id)
        for step in (await beta.threads.runs.steps.list(run.id, thread_id=thread.id)).data:
            life.add("step", step.id)
    for message in (await beta.threads.messages.list(thread.id)).data:
        life.add("message", message.id)
    for file in (await client.files.list(purpose="assistants_output")).data:
        life.add("file", file.id)
    upload = await client.uploads.create(bytes=2000, filename=word, mime_type="text/plain", purpose="assistants")
    life.add("upload", upload.id)
    life.add("part", (await client.uploads.parts.create(upload.id, data=word.encode() * 10)).id)
    return life


async def test_what_was_deleted_one_by_one(
    project: Project, system: System, model: ScriptedModel, service: SandboxService
) -> None:
    life = await live(project, model)
    client, beta = project.client, project.client.beta
    directories = system.root / "data", service.state
    assert sessions(service) == 1
    before = remains(system, life.needles, *directories)
    assert {"redis", "messages", "chunks", "idempotency_keys", "code_interpreter_sessions"} <= before.keys()

    await beta.threads.delete(life.ids["thread"][0])
    await client.vector_stores.delete(life.ids["store"][0])
    for file in life.ids["file"]:
        await client.files.delete(file)
    await beta.assistants.delete(life.ids["assistant"][0])
    await client.uploads.cancel(life.ids["upload"][0])

    async with http.session(project) as session:
        await nobody_sees(session, life)
    await until(lambda: system.query("SELECT kind, id FROM removals") == [])
    await until(lambda: system.query("SELECT id FROM threads WHERE deleted_at IS NOT NULL") == [])
    await until(lambda: system.query("SELECT id FROM upload_parts") == [])
    assert sessions(service) == 0
    logs_end(system, life.ids["run"])
    left = remains(system, life.needles, *directories)
    # It is remembered for a day how an upload ended, so that its client hears of it.
    assert left.pop("uploads") == {life.word, *life.ids["upload"]}
    # Clients that page on from a file which they have just taken out of a store find its place, for a day.
    assert left.pop("vector_store_files_removed", set()) <= {*life.ids["file"], *life.ids["store"]}
    assert all(not any(life.word in one for one in found) for found in left.values())
    assert left.keys() <= COUNTED | AUDITED


async def test_a_thread_of_a_hundred_thousand_messages(project: Project, system: System, model: ScriptedModel) -> None:
    """Each has a planted word, in one of its parts; another thread stays as it is."""
    beta, word = project.client.beta, f"planted{uuid4().hex}"
    assistant = await beta.assistants.create(model=model.script(Say("Yes.")))
    other = await beta.threads.create(messages=[{"role": "user", "content": "mine"}])
    long = await beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": word}], "metadata": {"word": word}},
        poll_interval_ms=POLL_MS,
    )
    system.query(
        "INSERT INTO messages (id, project_id, thread_id, role, content, metadata)"
        " SELECT concat('msg_', n, CAST(%s AS text)), project_id, id, 'user', jsonb_build_array(jsonb_build_object("
        " 'type', 'text', 'text', jsonb_build_object("
        " 'value', concat(CAST(%s AS text), n), 'annotations', jsonb_build_array()))),"
        " jsonb_build_object('word', CAST(%s AS text)) FROM threads, generate_series(1, 100000) AS n WHERE id = %s",
        *(word, word, word, long.thread_id),
    )
    page = await beta.threads.messages.list(long.thread_id, limit=100)
    assert all(word in message.model_dump_json() for message in page.data)
    needles = [word, long.thread_id, long.id, *(message.id for message in page.data)]
    assert "messages" in remains(system, needles)

    begun = time.perf_counter()
    await beta.threads.delete(long.thread_id)
    assert time.perf_counter() - begun < 1
    with pytest.raises(NotFoundError):
        await beta.threads.messages.list(long.thread_id)
    await until(lambda: system.query("SELECT id FROM threads WHERE deleted_at IS NOT NULL") == [], ONE_MINUTE)
    await until(lambda: system.query("SELECT kind, id FROM removals") == [])

    logs_end(system, [long.id])
    left = remains(system, needles, system.root / "data")
    assert all(not any(word in one for one in found) for found in left.values())
    assert left.keys() <= COUNTED | AUDITED
    (kept,) = (await beta.threads.messages.list(other.id)).data
    assert kept.thread_id == other.id


def sessions(service: SandboxService) -> int:
    """How many the code interpreter has."""
    return httpx2.get(f"{service.url}/healthz").json()["sessions"]


async def nobody_sees(session: httpx2.AsyncClient, life: Life) -> None:
    """Whatever the API has of it is answered by 404, or listed no more."""
    (thread,), (store,) = life.ids["thread"], life.ids["store"]
    paths = [f"/threads/{thread}", f"/threads/{thread}/messages", f"/threads/{thread}/runs", f"/vector_stores/{store}"]
    paths += [f"/vector_stores/{store}/files", f"/vector_stores/{store}/files/{life.ids['file'][0]}"]
    paths += [f"/assistants/{life.ids['assistant'][0]}"]
    paths += [f"/threads/{thread}/messages/{message}" for message in life.ids["message"]]
    paths += [f"/threads/{thread}/runs/{run}" for run in life.ids["run"]]
    paths += [f"/threads/{thread}/runs/{run}/steps" for run in life.ids["run"]]
    paths += [f"/threads/{thread}/runs/{run}/events" for run in life.ids["run"]]
    paths += [f"/files/{file}" for file in life.ids["file"]]
    for path in paths:
        assert (await session.get(path)).status_code == 404, path
    for path in ("/threads", "/threads?order_by=last_activity", "/vector_stores", "/files", "/assistants"):
        assert (await session.get(path)).json()["data"] == [], path
    for method, path, body in (
        ("DELETE", f"/threads/{thread}", None),
        ("DELETE", f"/vector_stores/{store}", None),
        ("POST", f"/threads/{thread}", {"metadata": {}}),
        ("POST", f"/threads/{thread}/messages", {"role": "user", "content": "x"}),
        ("POST", f"/threads/{thread}/messages/{life.ids['message'][0]}", {"metadata": {}}),
        ("DELETE", f"/threads/{thread}/messages/{life.ids['message'][0]}", None),
        ("POST", f"/threads/{thread}/runs/{life.ids['run'][0]}/cancel", {}),
        ("POST", f"/vector_stores/{store}", {"name": "x"}),
        ("POST", f"/vector_stores/{store}/search", {"query": "rain"}),
    ):
        assert (await session.request(method, path, json=body)).status_code == 404, (method, path)


def logs_end(system: System, runs: list[str]) -> None:
    """What is left of runs' logs is empty, and ends within a minute; here it ends now."""
    with redis.Redis.from_url(system.redis_url) as client:
        for run in runs:
            if client.exists(f"ev:{run}"):
                assert client.xlen(f"ev:{run}") == 0
                assert 0 < client.ttl(f"ev:{run}") <= 60
                client.delete(f"ev:{run}")


async def test_a_project(system: System, model: ScriptedModel, service: SandboxService) -> None:
    """It is archived first, and named twice; then everything of it goes."""
    async with Project.of(system) as project:
        life = await live(project, model)
        ((project_id, name),) = system.query(
            "SELECT projects.id, name FROM projects JOIN threads ON project_id = projects.id WHERE threads.id = %s",
            life.ids["thread"][0],
        )
        life.add("project", project_id)
        system.query("INSERT INTO budgets (project_id, limit_cents) VALUES (%s, 5); ".replace("; ", ""), project_id)

        early = await command(system, "projects", "delete", project_id, "--confirm", project_id)
        assert (early.returncode, "archive it first" in early.stderr) == (1, True)
        await said(system, "projects", "archive", project_id)
        other = await command(system, "projects", "delete", project_id, "--confirm", "proj_other")
        assert other.returncode == 2
        assert project_id in await said(system, "projects", "list")
        await said(system, "projects", "delete", project_id, "--confirm", project_id)

        assert project_id not in await said(system, "projects", "list")
        again = await command(system, "projects", "delete", project_id, "--confirm", project_id)
        assert (again.returncode, again.stderr) == (1, f"No project found with id '{project_id}'.\n")
        async with httpx2.AsyncClient(base_url=project.base_url) as anybody:
            refused = await anybody.get("/threads", headers={"authorization": f"Bearer {project.key}"})
            assert refused.status_code == 401
    await until(lambda: system.query("SELECT id FROM projects WHERE id = %s", project_id) == [])
    await until(lambda: system.query("SELECT kind, id FROM removals") == [])
    logs_end(system, life.ids["run"])
    left = remains(system, [*life.needles, name], system.root / "data", service.state)
    left.pop("vector_store_files_removed", None)  # for a day, as above
    assert all(not any(life.word in one for one in found) for found in left.values())
    assert left.keys() <= COUNTED | AUDITED
