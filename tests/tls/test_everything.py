"""A whole system over TLS: a run with file search, Flower, every command; nothing of ours speaks plainly."""

import asyncio
import subprocess
import sys
from urllib.parse import urlsplit

import httpx2
from openai import AsyncOpenAI

from infra.cli.health import page_answers
from tests.ports import free_port
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import System
from tests.tls.conftest import Ends
from tests.vector_stores import POLL_MS, store_of

NEWEST = {"TLSv1.3"}


async def test_a_run_with_file_search(client: AsyncOpenAI, model: ScriptedModel, ends: Ends) -> None:
    store, _ = await store_of(client, rain="It rains in Bergen.")
    name = model.script(CallFunctions([("file_search", {"queries": ["rain"]})]), Say("It rains."))
    assistant = await client.beta.assistants.create(
        model=name,
        tools=[{"type": "file_search"}],
        tool_resources={"file_search": {"vector_store_ids": [store]}},
    )
    run = await client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=POLL_MS)

    assert run.status == "completed", run.last_error
    assert {name: (set(end.secure), end.plain) for name, end in ends.all.items()} == dict.fromkeys(
        ends.all, (NEWEST, 0)
    )


async def test_streams(client: AsyncOpenAI, model: ScriptedModel) -> None:
    """Events go by Redis' pub/sub, over TLS as well."""
    assistant = await client.beta.assistants.create(model=model.script(Say(["Over ", "TLS."])))
    thread = await client.beta.threads.create()
    async with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
        said = [text async for text in stream.text_deltas]

    assert "".join(said) == "Over TLS."


async def test_flower(secure: System, ends: Ends) -> None:
    """It asks workers by Celery, and the broker itself."""
    port = free_port()
    before = sum(ends.redis.secure.values())
    process = secure.spawn("flower", "--port", str(port))
    await asyncio.to_thread(process.wait_until_ready)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            workers = (await http.get("/api/workers", params={"refresh": "true"})).json()
            queues = (await http.get("/api/queues/length")).json()
    finally:
        process.stop()
        secure.processes.remove(process)

    assert len(workers) == 1
    assert {queue["name"] for queue in queues["active_queues"]} == {"runs", "ingest"}
    assert sum(ends.redis.secure.values()) > before
    assert ends.redis.plain == 0


async def test_every_command(secure: System, ends: Ends) -> None:
    name = next(process.log.name for process in secure.processes if process.log.name.startswith("worker"))
    for arguments in (
        ("migrate",),
        ("doctor", "--model", "x"),
        ("keys", "list"),
        ("audit", "verify"),
        ("healthcheck", "worker", "--name", name.removesuffix(".log")),
    ):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "infra.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=secure.environment(),
            timeout=60,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    assert {name: end.plain for name, end in ends.all.items()} == dict.fromkeys(ends.all, 0)


async def test_a_container_asks_its_own_process(secure: System) -> None:
    """By loopback, for which no certificate is made."""
    port = urlsplit(secure.base_url).port

    assert await asyncio.to_thread(page_answers, f"http://127.0.0.1:{port}/healthz")
    assert not await asyncio.to_thread(page_answers, f"http://127.0.0.1:{free_port()}/healthz")
