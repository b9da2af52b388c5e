"""What is older than its project keeps things is deleted, and nothing else; rows are aged, nobody waits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import redis
from openai import AsyncOpenAI, BadRequestError
from sqlalchemy import text

from shared.assistants import commands as assistants
from shared.audit.actor import command_line
from shared.database import to_json
from shared.events import log as events
from shared.events.types import Entry, EventId
from shared.files import commands as files
from shared.projects import commands as projects
from shared.redis import Command
from shared.removals import retention
from shared.vector_stores import commands as stores
from shared.vector_stores import files as store_files
from tests import http
from tests.removals.stage import Stage
from tests.sandbox.service import SandboxService
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System, until
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
        == "threads  for ever\nfiles  for ever\noutputs  for ever\nevents  as ever\nsessions  as ever\n"
    )
    given = ("--threads", "30d", "--outputs", "36h", "--events", "5m", "--sessions", "1h")
    told = await said(system, "projects", "retention", project, *given)
    assert told == "threads  30d\nfiles  for ever\noutputs  36h\nevents  5m\nsessions  1h\n"
    key = await system.admin_key()
    async with AsyncOpenAI(base_url=system.base_url, api_key="none", admin_api_key=key, max_retries=0) as client:
        shown: Any = await client.admin.organization.projects.retrieve(project)
        as_told = {"threads": 30 * DAY, "files": None, "outputs": 36 * 3600, "events": 300, "sessions": 3600}
        assert shown.assistantd["retention"] == as_told
        changed: Any = await client.admin.organization.projects.update(
            project, extra_body={"assistantd": {"retention": {"threads": None, "files": DAY, "sessions": 60}}}
        )
        assert changed.assistantd["retention"] == {**as_told, "threads": None, "files": DAY, "sessions": 60}
        for wrong in ({"events": 59}, {"events": 31 * DAY}, {"sessions": 3601}, {"sessions": 59}, {"threads": 3599}):
            with pytest.raises(BadRequestError, match=r"assistantd\.retention"):
                await client.admin.organization.projects.update(
                    project, extra_body={"assistantd": {"retention": wrong}}
                )
    assert "outputs  for ever\n" in await said(system, "projects", "retention", project, "--outputs", "none")
    for wrong in ("30", "d", "0d", "1w", "-1d", "99999999999d", "59m"):
        assert (await command(system, "projects", "retention", project, "--threads", wrong)).returncode == 2


async def test_events_go_so_long_after_their_run(system: System, project: Project, model: ScriptedModel) -> None:
    """While it goes on they stay, and afterwards rows tell of it; a run has what its project had when it began."""
    beta, gate = project.client.beta, Gate()
    assistant = await beta.assistants.create(model=model.script(Say("One."), Say("Two.", before=gate), Say("Three.")))
    project_id = project_of(system, (await beta.threads.create()).id)

    async def begin() -> Any:
        message: Any = {"role": "user", "content": "?"}
        return await beta.threads.create_and_run(assistant_id=assistant.id, thread={"messages": [message]})

    async def ended(run: Any) -> int:
        await beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=20)
        return left(run)

    def left(run: Any) -> int:
        with redis.Redis.from_url(system.redis_url) as client:
            return client.ttl(f"ev:{run.id}")

    assert 1000 < await ended(await begin()) <= 600 + 900
    await said(system, "projects", "retention", project_id, "--events", "2m")
    run = await begin()
    await until(lambda: left(run) > 0)
    assert 1000 < left(run) <= 600 + 900
    gate.open()
    assert 0 < await ended(run) <= 120
    await said(system, "projects", "retention", project_id, "--events", "20d")
    run = await begin()
    assert 19 * DAY < await ended(run) <= 20 * DAY
    with redis.Redis.from_url(system.redis_url) as client:
        client.delete(f"ev:{run.id}")
    async with http.session(project) as session:
        told = await session.get(f"/threads/{run.thread_id}/runs/{run.id}/events")
    assert "Three." in told.text


async def test_whoever_was_frozen_keeps_no_log_alive(system: System) -> None:
    """Others have ended the run meanwhile, or somebody has deleted it; and what it begins anew ends."""
    key, late = "ev:run_frozen", Entry(EventId(1, 2), ends=False, frames=b"late")
    with redis.Redis.from_url(system.redis_url) as client:

        def send(commands: Sequence[Command]) -> None:
            for command in commands:
                with suppress(redis.ResponseError):  # an id that is not above the last is refused
                    client.execute_command(*command)

        def still_writes() -> int:
            send(events.append("run_frozen", late, None, keep=timedelta(minutes=25), anew=True))
            return client.ttl(key)

        send(events.append("run_frozen", replace(late, last=EventId(1, 1)), None, keep=timedelta(minutes=25)))
        assert still_writes() > 1400
        send(
            events.append("run_frozen", Entry(EventId(2, 1), ends=True, frames=b"end"), None, keep=timedelta(minutes=1))
        )
        assert 0 < still_writes() <= 60
        send(events.forget("run_frozen"))
        assert 0 < still_writes() <= 60
        client.delete(key)
        assert 0 < still_writes() <= 25 * 60
        client.delete(key)


async def test_sessions_go_so_long_after_their_last_call(
    system: System, project: Project, model: ScriptedModel, service: SandboxService
) -> None:
    """Each call says it anew; a place that the project may have is kept for as long."""
    beta = project.client.beta
    calls = [CallFunctions([("code_interpreter", {"code": "1"})]), Say("Done.")]
    assistant = await beta.assistants.create(model=model.script(*calls * 2), tools=[{"type": "code_interpreter"}])
    thread = await beta.threads.create(messages=[{"role": "user", "content": "?"}])
    project_id = project_of(system, thread.id)

    async def idle_timeout() -> float:
        run = await beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=20
        )
        assert run.status == "completed", run.last_error
        authorization = {"authorization": f"Bearer {service.secret}"}
        return httpx2.get(f"{service.url}/sessions/{thread.id}", headers=authorization).json()["idle_timeout"]

    assert await idle_timeout() == 20 * 60
    await said(system, "projects", "retention", project_id, "--sessions", "5m")
    await said(system, "projects", "limit", project_id, "--sandbox-sessions", "3")
    assert await idle_timeout() == 5 * 60
    ((kept_s,),) = system.query(
        "SELECT extract(epoch FROM until - now())::int FROM sandbox_places WHERE thread_id = %s", thread.id
    )
    assert 5 * 60 < kept_s <= 5 * 60 + 120  # a call may take two minutes, and the session idles from its end


def project_of(system: System, thread_id: str) -> str:
    ((project_id,),) = system.query("SELECT project_id FROM threads WHERE id = %s", thread_id)
    return project_id


async def test_two_workers_at_once_delete_each_thing_once(stage: Stage) -> None:
    for _ in range(20):
        await thread(stage)
        await file(stage)
    await kept(stage, threads=DAY, files=DAY)

    both = await asyncio.gather(retention.enforce(stage.database), retention.enforce(stage.database))

    assert sum((one for one in both), start=type(both[0])()) == {"threads": 20, "files": 20}
