"""`assistantd up` with the scripted model, its embedder, Flower and the code interpreter, in the network namespace that
this is started in: a file is read and searched, a run finds it; another one executes code that reads a file, writes one
and tries to get out. Prints what it came to, and how often anybody wanted to reach more than this machine: first by the
stack, then with two attempts of our own, which have to be seen.

Arguments are the data directory, and settings of the stack.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from openai import AsyncOpenAI

from infra.embedded.process import free_port
from tests.offline.wire import ELSEWHERE, Resolvers, interfaces, raise_loopback, unreachable
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.vector_stores import POLL_MS, store_of, upload

NOWHERE = "assistantd.invalid"
READY = b"Ctrl-C"
TRIES = """
import socket
for place in {places}:
    try:
        socket.create_connection(place, timeout=2)
        print('reached')
    except OSError as error:
        print(type(error).__name__)
with open('/mnt/data/written.txt', 'w') as written:
    written.write(open('/mnt/data/notes.txt').read().upper())
"""


async def main(data: Path, settings: Mapping[str, str]) -> None:
    """Raise loopback, and tell the story."""
    raise_loopback()
    resolvers, model = Resolvers(), ScriptedModel()
    await resolvers.listen()
    await model.start()
    told = {"interfaces": sorted(interfaces()), **await _run(data, model, settings)}
    told |= {"unreachable": unreachable(), "asked": resolvers.asked}
    await _try_ourselves()
    told |= {"attempts_seen": unreachable() + resolvers.asked}
    await model.stop()
    print(json.dumps(told))


async def _run(data: Path, model: ScriptedModel, settings: Mapping[str, str]) -> dict[str, object]:
    port = free_port()
    arguments = [sys.executable, "-P", "-m", "infra.cli", "up", "--data-dir", str(data), "--port", str(port)]
    ours = {"ASSISTANTD_MODEL_BASE_URL": model.base_url, "ASSISTANTD_MODEL_API_KEY": "none", **settings}
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
            return {"found": await _find(client, model), "executed": await _execute(client, model)}
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
    return await _told(client, assistant.id)


async def _execute(client: AsyncOpenAI, model: ScriptedModel) -> dict[str, object]:
    """`logs` are what became of each attempt to get out: to elsewhere, to a name, and to the model on loopback."""
    notes = await upload(client, "It rains in Bergen.")
    places = [(ELSEWHERE, 80), (NOWHERE, 80), ("127.0.0.1", urlsplit(model.base_url).port)]
    executing = CallFunctions([("code_interpreter", {"code": TRIES.format(places=places)})])
    assistant = await client.beta.assistants.create(
        model=model.script(executing, Say("[Here](sandbox:/mnt/data/written.txt)")),
        tools=[{"type": "code_interpreter"}],
        tool_resources={"code_interpreter": {"file_ids": [notes]}},
    )
    told = await _told(client, assistant.id)
    (file,) = (await client.files.list(purpose="assistants_output")).data
    return {**told, "written": (await client.files.content(file.id)).text}


async def _told(client: AsyncOpenAI, assistant_id: str) -> dict[str, object]:
    """What a run came to."""
    run = await client.beta.threads.create_and_run_poll(assistant_id=assistant_id, poll_interval_ms=POLL_MS)
    steps = (await client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc")).data
    called = [call for step in steps if step.step_details.type == "tool_calls" for call in step.step_details.tool_calls]
    logs = "".join(
        output.logs
        for call in called
        if call.type == "code_interpreter"
        for output in call.code_interpreter.outputs
        if output.type == "logs"
    )
    return {"status": run.status, "steps": [step.type for step in steps], "logs": logs.split()}


async def _try_ourselves() -> None:
    with suppress(OSError):
        socket.create_connection((ELSEWHERE, 80), timeout=1)
    with suppress(OSError):
        await asyncio.get_running_loop().getaddrinfo(NOWHERE, 80)


asyncio.run(main(Path(sys.argv[1]), dict(setting.split("=", 1) for setting in sys.argv[2:])))
