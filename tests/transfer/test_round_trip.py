"""A project that is exported and imported elsewhere is the same project."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import psycopg
import pytest

from tests import http
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System, until
from tests.transfer import command, lines, project_of, said
from tests.vector_stores import POLL_MS

FUNCTION: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
SEARCH: Any = {"type": "file_search"}
BINARY = os.urandom(3 * 1024 * 1024 + 7)


async def live(project: Project, model: ScriptedModel, gate: Gate) -> None:
    """Everything that a project can have, and a run that has not ended."""
    client, beta = project.client, project.client.beta
    store = await client.vector_stores.create(name="Notes", metadata={"of": "Bergen"}, description="of rain")
    notes = await client.files.create(file=("notes.txt", b"It rains in Bergen."), purpose="assistants")
    await client.files.create(file=("noise.bin", BINARY), purpose="user_data")
    attributes: Any = {"year": 2024, "wet": True, "city": "Bergen"}
    await client.vector_stores.files.create_and_poll(
        notes.id, vector_store_id=store.id, attributes=attributes, poll_interval_ms=POLL_MS
    )
    script = model.script(
        CallFunctions([("weather", {"city": "Bergen"})]),
        CallFunctions([("file_search", {"queries": ["rain"]})]),
        Say("It rains."),
        Say("Never", before=gate),
    )
    assistant = await beta.assistants.create(
        model=script,
        name="Ada",
        instructions="Be brief.",
        tools=[FUNCTION, SEARCH],
        tool_resources={"file_search": {"vector_store_ids": [store.id]}},
        temperature=0,
        metadata={"a": "b"},
    )
    await beta.assistants.create(model="plain")
    thread = await beta.threads.create(
        messages=[{"role": "user", "content": f"Question {n}"} for n in range(40)], metadata={"t": "1"}
    )
    run = await beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=POLL_MS
    )
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    ended = await beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": call.id, "output": "wet"}],
        poll_interval_ms=POLL_MS,
    )
    assert ended.status == "completed", ended.last_error
    await beta.threads.create()
    await beta.threads.create_and_run(assistant_id=assistant.id, thread={"messages": []})
    await gate.reached()


async def everything(client: httpx2.AsyncClient) -> dict[str, Any]:
    """All that the API shows, by path; what a search last did to a store left aside."""
    told: dict[str, Any] = {}

    async def listed(path: str) -> list[str]:
        page = (await client.get(path, params={"limit": 100, "order": "asc"})).json()
        assert not page["has_more"]
        for shown in page["data"]:
            single = (await client.get(f"{path}/{shown['id']}")).json()
            told[f"{path}/{shown['id']}"] = {name: single[name] for name in single if name != "last_active_at"}
        return [shown["id"] for shown in page["data"]]

    await listed("/assistants")
    for file in await listed("/files"):
        told[file] = (await client.get(f"/files/{file}/content")).content
    for store in await listed("/vector_stores"):
        await listed(f"/vector_stores/{store}/files")
    for thread in await listed("/threads"):
        await listed(f"/threads/{thread}/messages")
        for run in await listed(f"/threads/{thread}/runs"):
            await listed(f"/threads/{thread}/runs/{run}/steps")
    return told


def of_exports(directory: Path) -> dict[str, Any]:
    """Its lines by file; of stores without what searches and the reading of their files have changed."""
    told = {path.name: lines(path) for path in directory.glob("*.jsonl")}
    for store in told["vector_stores.jsonl"]:
        del store["last_active_at"], store["assistantd"]["last_active_at"]
    return told


async def test_a_project_moves(
    project: Project, here: System, there: System, model: ScriptedModel, tmp_path: Path
) -> None:
    gate = Gate()
    await live(project, model, gate)
    ((source,),) = here.query("SELECT project_id FROM runs WHERE status = 'in_progress'")
    first, second = tmp_path / "first", tmp_path / "second"

    told = await said(here, "export", "--project", source, first)
    assert told == (
        "2 files  1 vector_stores  1 vector_store_files  2 assistants  3 threads  41 messages  2 runs  3 run_steps\n"
    )
    gate.open()
    name = f"moved-{uuid4().hex[:8]}"
    key = await there.key(name)
    target = project_of(there, name)
    done = await command(there, "import", "--project", target, first)

    assert done.returncode == 0, done.stderr
    (active,) = [run for run in lines(first / "runs.jsonl") if run["status"] == "in_progress"]
    assert f"{active['id']}: was in_progress; it is kept as expired" in done.stderr
    assert there.query("SELECT status FROM runs WHERE id = %s", active["id"]) == [("expired",)]
    await until(lambda: there.query("SELECT id FROM vector_store_files WHERE status <> 'completed'") == [])

    await said(there, "export", "--project", target, second)
    before, after = of_exports(first), of_exports(second)
    (expired,) = [run for run in after["runs.jsonl"] if run["id"] == active["id"]]
    before["runs.jsonl"] = [expired if run["id"] == active["id"] else run for run in before["runs.jsonl"]]
    assert after == before
    assert {path.name: path.read_bytes() for path in (second / "files").iterdir()} == {
        path.name: path.read_bytes() for path in (first / "files").iterdir()
    }
    assert first.stat().st_mode & 0o777 == 0o700

    await until(lambda: here.query("SELECT id FROM runs WHERE status = 'in_progress'") == [])
    await said(here, "export", "--project", source, tmp_path / "third")
    again = await command(here, "import", "--project", source, tmp_path / "third")
    assert (again.returncode, "there already: 2 files" in again.stdout) == (0, True), "whence it came all is there"

    async with http.session(project) as old, Project.known(there, key) as tenant, http.session(tenant) as new:
        shown, moved = await everything(old), await everything(new)
        assert len(moved) == 2 + 2 * 2 + 2 + 3 + 41 + 2 + 3
        ended = f"/threads/{active['thread_id']}/runs/{active['id']}"
        changed = {path for path in shown.keys() | moved.keys() if shown.get(path) != moved.get(path)}
        assert all(path.startswith(f"/threads/{active['thread_id']}") for path in changed)
        assert moved[ended]["status"] == "expired"
        (store,) = [path for path in moved if path.startswith("/vector_stores/") and path.count("/") == 2]
        found = (await new.post(f"{store}/search", json={"query": "rain"})).json()["data"]
        assert [result["content"][0]["text"] for result in found] == ["It rains in Bergen."]
        assert found[0]["attributes"] == {"year": 2024, "wet": True, "city": "Bergen"}

    again = await said(there, "import", "--project", target, first)
    assert again.splitlines()[0] == "added: nothing"


@pytest.fixture
async def exported(project: Project, here: System, tmp_path: Path) -> Path:
    """A small project of its own, in files."""
    await project.client.files.create(file=("a.txt", b"apples"), purpose="assistants")
    messages: Any = [{"role": "user", "content": f"{n}"} for n in range(3)]
    thread = await project.client.beta.threads.create(messages=messages)
    ((owner,),) = here.query("SELECT project_id FROM threads WHERE id = %s", thread.id)
    await said(here, "export", "--project", owner, tmp_path / "small")
    return tmp_path / "small"


async def test_damage_is_noticed_before_anything_is_added(exported: Path, there: System) -> None:
    target = (await said(there, "projects", "create", f"p-{uuid4().hex[:8]}")).strip()
    path = exported / "messages.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"value":"1"', b'"value":"9"'))

    done = await command(there, "import", "--project", target, exported)

    assert done.returncode == 1
    assert "messages.jsonl is not what was exported" in done.stderr
    assert there.query("SELECT id FROM threads WHERE project_id = %s", target) == []
    manifest = exported / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"version": 1', b'"version": 2'))
    assert "is of version 2" in (await command(there, "import", "--project", target, exported)).stderr


async def test_others_ids_are_refused_and_not_disclosed(exported: Path, project: Project, here: System) -> None:
    """Into a second project of the same server: all ids are taken."""
    other = (await said(here, "projects", "create", f"p-{uuid4().hex[:8]}")).strip()

    done = await command(here, "import", "--project", other, exported)

    assert done.returncode == 1
    (thread,) = lines(exported / "threads.jsonl")
    (file,) = lines(exported / "files.jsonl")
    assert f"{thread['id']}: refused: its id is taken" in done.stderr
    assert f"{file['id']}: refused: its id is taken" in done.stderr
    for message in lines(exported / "messages.jsonl"):
        assert f"{message['id']}: refused: the thread that it belongs to is not in this project" in done.stderr
    ((owner,),) = here.query("SELECT project_id FROM threads WHERE id = %s", thread["id"])
    assert owner not in done.stdout + done.stderr
    assert (await project.client.files.content(file["id"])).read() == b"apples"
    for table in ("files", "threads", "messages"):
        assert here.query(f"SELECT id FROM {table} WHERE project_id = %s", other) == []


async def test_what_has_changed_is_not_overwritten(exported: Path, project: Project, here: System) -> None:
    (thread,) = lines(exported / "threads.jsonl")
    ((owner,),) = here.query("SELECT project_id FROM threads WHERE id = %s", thread["id"])
    await project.client.beta.threads.update(thread["id"], metadata={"new": "words"})

    done = await command(here, "import", "--project", owner, exported)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"{thread['id']}: refused: it is there with other content"]
    assert done.stdout.splitlines()[1] == "there already: 1 files  3 messages"
    assert (await project.client.beta.threads.retrieve(thread["id"])).metadata == {"new": "words"}


async def test_an_import_that_was_broken_off_completes(exported: Path, there: System) -> None:
    """What a crash leaves is what had been committed: some of the objects."""
    target = (await said(there, "projects", "create", f"p-{uuid4().hex[:8]}")).strip()
    await said(there, "import", "--project", target, exported)
    some = lines(exported / "messages.jsonl")[1]["id"]
    there.query("DELETE FROM messages WHERE id = %s", some)
    there.query("DELETE FROM files WHERE project_id = %s", target)

    assert await said(there, "import", "--project", target, exported) == (
        "added: 1 files  1 messages\nthere already: 1 threads  2 messages\nrefused: nothing\n"
    )
    (line,) = [line for line in lines(exported / "messages.jsonl") if line["id"] == some]
    ((created_at,),) = there.query("SELECT created_at FROM messages WHERE id = %s", some)
    assert created_at == datetime.fromisoformat(line["assistantd"]["created_at"])


async def test_an_export_takes_no_directory_with_something_in_it(here: System, tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("x")
    project = (await said(here, "projects", "create", f"p-{uuid4().hex[:8]}")).strip()
    done = await command(here, "export", "--project", project, tmp_path)
    assert (done.returncode, "holds something else" in done.stderr) == (1, True)
    missing = await command(here, "export", "--project", "proj_none", tmp_path / "new")
    assert missing.stderr == "No project found with id 'proj_none'.\n"


async def test_a_content_that_is_gone_is_named(exported: Path, here: System, tmp_path: Path) -> None:
    (file,) = lines(exported / "files.jsonl")
    ((owner,),) = here.query("SELECT project_id FROM files WHERE id = %s", file["id"])
    (stored,) = (here.root / "data" / "files").glob(f"*/{file['id']}")
    stored.unlink()

    done = await command(here, "export", "--project", owner, tmp_path / "again")

    assert done.returncode == 1
    assert f"{file['id']}: its content is not in the store" in done.stderr
    assert orjson.loads((tmp_path / "again" / "manifest.json").read_bytes())["files"]["files.jsonl"]["objects"] == 1


async def test_what_is_being_removed_is_not_taken_for_there(exported: Path, here: System) -> None:
    """Its rows are still there, held by a transaction that the removal waits for."""
    (thread,) = lines(exported / "threads.jsonl")
    ((owner,),) = here.query("SELECT project_id FROM threads WHERE id = %s", thread["id"])
    with psycopg.connect(here.database_url) as held:
        held.execute("SELECT id FROM threads WHERE id = %s FOR KEY SHARE", [thread["id"]])
        here.query("UPDATE threads SET deleted_at = now() WHERE id = %s", thread["id"])

        done = await command(here, "import", "--project", owner, exported)

        assert (done.returncode, f"{thread['id']}: refused: its id is taken" in done.stderr) == (1, True)
    await until(lambda: here.query("SELECT id FROM threads WHERE id = %s", thread["id"]) == [])
    assert "added: 1 threads  3 messages" in await said(here, "import", "--project", owner, exported)
