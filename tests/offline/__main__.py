"""`assistantd up` with the scripted model, its embedder and Flower, in the network namespace that this is started in:
a file is read and searched, a run finds it. Prints what it came to, and how often anybody wanted to reach more than
this machine: first by the stack, then with two attempts of our own, which have to be seen.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from openai import AsyncOpenAI

from infra.embedded.process import free_port
from tests.offline.wire import Resolvers, interfaces, raise_loopback, unreachable
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.vector_stores import POLL_MS, store_of

ELSEWHERE = "192.0.2.1"  # an address for documentation
NOWHERE = "assistantd.invalid"
READY = b"Ctrl-C"


async def main(data: Path) -> None:
    """Raise loopback, and tell the story."""
    raise_loopback()
    resolvers, model = Resolvers(), ScriptedModel()
    await resolvers.listen()
    await model.start()
    told = {"interfaces": sorted(interfaces()), **await _run(data, model)}
    told |= {"unreachable": unreachable(), "asked": resolvers.asked}
    await _try_ourselves()
    told |= {"attempts_seen": unreachable() + resolvers.asked}
    await model.stop()
    print(json.dumps(told))


async def _run(data: Path, model: ScriptedModel) -> dict[str, object]:
    port = free_port()
    arguments = [sys.executable, "-P", "-m", "infra.cli", "up", "--data-dir", str(data), "--port", str(port)]
    ours = {"ASSISTANTD_MODEL_BASE_URL": model.base_url, "ASSISTANTD_MODEL_API_KEY": "none"}
    up = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ, **ours}
    )
    assert up.stdout is not None
    said: list[bytes] = []
    try:
        while line := await up.stdout.readline():
            said.append(line)
            if line.startswith(READY):
                break
        else:
            raise AssertionError(b"".join(said).decode())
        variables = dict(line.split("=", 1) for line in (data / "env").read_text().splitlines() if "=" in line)
        url, key = variables["OPENAI_BASE_URL"], variables["OPENAI_API_KEY"]
        async with AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
            return await _find(client, model)
    finally:
        with suppress(ProcessLookupError):
            up.send_signal(signal.SIGTERM)
        await up.communicate()


async def _find(client: AsyncOpenAI, model: ScriptedModel) -> dict[str, object]:
    store, _ = await store_of(client, rain="It rains in Bergen on two days of three.")
    searching = CallFunctions([("file_search", {"queries": ["weather in Norway"]})])
    assistant = await client.beta.assistants.create(
        model=model.script(searching, Say("Bring an umbrella.")),
        tools=[{"type": "file_search"}],
        tool_resources={"file_search": {"vector_store_ids": [store]}},
    )
    run = await client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=POLL_MS)
    messages = (await client.beta.threads.messages.list(run.thread_id)).data
    steps = (await client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id)).data
    return {"status": run.status, "messages": len(messages), "steps": [step.type for step in steps]}


async def _try_ourselves() -> None:
    with suppress(OSError):
        socket.create_connection((ELSEWHERE, 80), timeout=1)
    with suppress(OSError):
        await asyncio.get_running_loop().getaddrinfo(NOWHERE, 80)


asyncio.run(main(Path(sys.argv[1])))
