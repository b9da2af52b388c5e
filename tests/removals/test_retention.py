"""What is older than its project keeps things is deleted, and nothing else; rows are aged, nobody waits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from openai import AsyncOpenAI
from sqlalchemy import text

from shared.assistants import commands as assistants
from shared.audit.actor import command_line
from shared.database import to_json
from shared.files import commands as files
from shared.projects import commands as projects
from shared.removals import retention
from shared.vector_stores import commands as stores
from shared.vector_stores import files as store_files
from tests.removals.stage import Stage
from tests.system import System
from tests.transfer import command, said

DAY = 86_400
OLD, NEW = "2 days", "1 hour"


async def kept(stage: Stage, **seconds: int | None) -> None:
    await projects.modify(
        stage.database, command_line(), stage.project_id, {f"{what}_kept_s": s for what, s in seconds.items()}
    )


async def age(stage: Stage, table: str, column: str, key: str, object_id: str, by: str = OLD) -> None:
    moved = f"UPDATE {table} SET {column} = {column} - CAST(:by AS interval) WHERE {key} = :id"
    await stage.database.all(
        text(moved), {"id": object_id, "by": timedelta(days=2) if by == OLD else timedelta(hours=1)}
    )


async def thread(stage: Stage, by: str = OLD, **more: Any) -> str:
    made = await stage.thread(**more)
    await age(stage, "thread_activity", "active_at", "thread_id", made, by)
    return made


async def file(stage: Stage, by: str = OLD, purpose: str = "assistants") -> str:
    async def content() -> AsyncIterator[bytes]:
        yield b"apples"

    made = await files.upload(
        stage.database, stage.store, stage.project_id, filename="a.txt", purpose=purpose, chunks=content()
    )
    await age(stage, "files", "created_at", "id", made["id"], by)
    return made["id"]


async def left(stage: Stage, table: str) -> set[str]:
    living = " WHERE deleted_at IS NULL" if table == "threads" else ""
    return {row["id"] for row in await stage.database.all(text(f"SELECT id FROM {table}{living}"))}


async def test_threads_by_their_last_activity(stage: Stage) -> None:
    """Old threads that something happened on lately stay, as do those with a run that has not ended."""
    old, new = await thread(stage), await thread(stage, NEW)
    busy = {await thread(stage, runs=1, status="queued")}
    waiting = await thread(stage, runs=1, status="queued")
    asked = """UPDATE runs SET status = 'requires_action', required_action = '{}' WHERE thread_id = :id"""
    await stage.database.all(text(asked), {"id": waiting})
    stirred = await stage.thread()
    await age(stage, "threads", "created_at", "id", stirred)

    assert await retention.enforce(stage.database) == {}
    await kept(stage, threads=DAY)
    assert await retention.enforce(stage.database) == {"threads": 1}

    assert await left(stage, "threads") == {new, stirred, waiting, *busy}
    await stage.remove()
    assert await stage.count("messages", f"thread_id = '{old}'") == 0
    await kept(stage, threads=None)
    await age(stage, "thread_activity", "active_at", "thread_id", new)
    assert await retention.enforce(stage.database) == {}


async def test_more_than_one_statement_takes(stage: Stage) -> None:
    many = """WITH made AS (
      INSERT INTO threads (id, project_id) SELECT concat('thread_', n), :project FROM generate_series(1, 1203) AS n
      RETURNING id)
    INSERT INTO thread_activity (thread_id, project_id, active_at)
    SELECT id, :project, now() - interval '2 days' FROM made"""
    await stage.fill(many, project=stage.project_id)
    await kept(stage, threads=DAY)

    assert await retention.enforce(stage.database) == {"threads": 1203}
    assert await left(stage, "threads") == set()


async def test_other_projects_keep_theirs(stage: Stage) -> None:
    other = Stage(stage.database, stage.store, (await projects.create(stage.database, command_line(), "other"))["id"])
    theirs, their_file = await thread(other), await file(other)
    await thread(stage)
    await file(stage)
    await kept(stage, threads=DAY, files=DAY)

    assert await retention.enforce(stage.database) == {"threads": 1, "files": 1}
    assert (await left(stage, "threads"), await left(stage, "files")) == ({theirs}, {their_file})


async def test_files_that_nothing_has(stage: Stage) -> None:
    """What a store, an assistant or a thread has is in use; a message of a quiet thread keeps nothing."""
    old, new = await file(stage), await file(stage, NEW)
    made = await file(stage, purpose="assistants_output")
    in_store, of_assistant, of_v1, of_thread, told = [await file(stage) for _ in range(5)]
    store = (await stores.create(stage.database, stage.project_id, {}, [], "english"))["id"]
    await store_files.add(stage.database, stage.project_id, store, store_files.new_file(in_store, {}, 800, 400))
    resources = {"code_interpreter": {"file_ids": [of_assistant]}}
    await assistants.create(stage.database, stage.project_id, {"model": "m", "tool_resources": resources})
    await assistants.create(stage.database, stage.project_id, {"model": "m", "file_ids": [of_v1]})
    quiet = await stage.thread(runs=1)
    of_quiet = to_json({"code_interpreter": {"file_ids": [of_thread]}})
    await stage.database.all(
        text("UPDATE threads SET tool_resources = CAST(:to AS jsonb) WHERE id = :id"), {"to": of_quiet, "id": quiet}
    )
    await attach(stage, quiet, "attachments", [{"file_id": told, "tools": []}])
    await kept(stage, files=DAY)

    assert await retention.enforce(stage.database) == {"files": 2}
    assert await left(stage, "files") == {new, made, in_store, of_assistant, of_v1, of_thread}

    await kept(stage, outputs=DAY)
    assert await retention.enforce(stage.database) == {"outputs": 1}
    await stage.remove()
    assert {blob.key async for blob in stage.store.list()} == {new, in_store, of_assistant, of_v1, of_thread}
    assert old not in await left(stage, "files")


async def attach(stage: Stage, thread_id: str, column: str, value: Any) -> None:
    changed = f"UPDATE messages SET {column} = CAST(:value AS jsonb) WHERE thread_id = :id"
    await stage.database.all(text(changed), {"id": thread_id, "value": to_json(value)})


@pytest.mark.parametrize("place", ["attachments", "file_ids", "content", "steps", "session"])
async def test_nothing_is_taken_from_an_active_run(stage: Stage, place: str) -> None:
    named = await file(stage, purpose="assistants_output")
    busy = await stage.thread(runs=1, steps=1, status="queued")
    image = {"type": "image", "image": {"file_id": named}}
    match place:
        case "attachments":
            await attach(stage, busy, place, [{"file_id": named, "tools": [{"type": "code_interpreter"}]}])
        case "file_ids":
            await attach(stage, busy, place, [named])
        case "content":
            await attach(stage, busy, place, [{"type": "image_file", "image_file": {"file_id": named}}])
        case "steps":
            told = {"type": "tool_calls", "tool_calls": [{"code_interpreter": {"input": "", "outputs": [image]}}]}
            changed = text("UPDATE run_steps SET details = CAST(:told AS jsonb)")
            await stage.database.all(changed, {"told": to_json(told)})
        case _:
            added = """INSERT INTO code_interpreter_sessions (id, project_id, thread_id, files, started_at)
            VALUES ('one', :project, :thread, CAST(:files AS jsonb), now())"""
            params = {"project": stage.project_id, "thread": busy, "files": to_json({"a.txt": {"file_id": named}})}
            await stage.database.all(text(added), params)
    await kept(stage, outputs=DAY)
    assert await retention.enforce(stage.database) == {}

    ended = "UPDATE runs SET status = 'completed', finished_at = now() WHERE thread_id = :id"
    await stage.database.all(text(ended), {"id": busy})
    assert await retention.enforce(stage.database) == {"outputs": 1}


async def test_settings_by_command_and_by_the_administration(system: System) -> None:
    (project,) = (await said(system, "projects", "create", "Uruk")).split()
    assert (
        await said(system, "projects", "retention", project)
        == "threads  for ever\nfiles  for ever\noutputs  for ever\n"
    )
    told = await said(system, "projects", "retention", project, "--threads", "30d", "--outputs", "36h")
    assert told == "threads  30d\nfiles  for ever\noutputs  36h\n"
    key = await system.admin_key()
    async with AsyncOpenAI(base_url=system.base_url, api_key="none", admin_api_key=key, max_retries=0) as client:
        shown: Any = await client.admin.organization.projects.retrieve(project)
        assert shown.assistantd["retention"] == {"threads": 30 * DAY, "files": None, "outputs": 36 * 3600}
        changed: Any = await client.admin.organization.projects.update(
            project, extra_body={"assistantd": {"retention": {"threads": None, "files": DAY}}}
        )
        assert changed.assistantd["retention"] == {"threads": None, "files": DAY, "outputs": 36 * 3600}
    assert (await said(system, "projects", "retention", project, "--outputs", "none")).endswith("outputs  for ever\n")
    for wrong in ("30", "d", "0d", "1w", "-1d", "99999999999d"):
        assert (await command(system, "projects", "retention", project, "--threads", wrong)).returncode == 2


async def test_two_workers_at_once_delete_each_thing_once(stage: Stage) -> None:
    for _ in range(20):
        await thread(stage)
        await file(stage)
    await kept(stage, threads=DAY, files=DAY)

    both = await asyncio.gather(retention.enforce(stage.database), retention.enforce(stage.database))

    assert sum((one for one in both), start=type(both[0])()) == {"threads": 20, "files": 20}
