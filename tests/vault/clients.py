"""Clients who talk and keep files, while somebody changes what that is sealed by."""

import asyncio
import os
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from openai import AsyncOpenAI

from shared.files.sealing import FRAME
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.vector_stores import POLL_MS

COUNT = 8
FUNCTION: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
SIZE = 2 * FRAME + 9  # of a file: frames of every kind


@dataclass
class Clients:
    """Who talks meanwhile, all for one project; what was said, newest first, by thread, and files' contents by id."""

    client: AsyncOpenAI
    model: ScriptedModel
    said: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    _enough: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    @asynccontextmanager
    async def busy(self) -> AsyncGenerator[None]:
        """They talk until this is left, and come to the end of what they are at."""
        async with asyncio.TaskGroup() as group:
            for _ in range(COUNT):
                group.create_task(self._talk())
            yield
            self._enough.set()

    async def round(self) -> None:
        """Wait until as many conversations have ended as there are clients, whoever's they were."""
        for _ in range(COUNT):
            await self._ended.acquire()

    async def everything_is_there(self) -> None:
        """Raises AssertionError for the first thing that isn't as it was given."""
        for thread_id, said in self.said.items():
            assert await self._kept(thread_id) == said
        for file_id, content in self.files.items():
            assert (await self.client.files.content(file_id)).content == content

    async def _talk(self) -> None:
        while not self._enough.is_set():
            await self.converse()
            await self.store()
            self._ended.release()

    async def converse(self) -> None:
        """With a run that is streamed, waits for its client, and is polled."""
        beta = self.client.beta
        words = uuid4().hex
        script = self.model.script(CallFunctions([("weather", {"city": words})]), Say(f"It rains {words}."))
        assistant = await beta.assistants.create(model=script, instructions=words, tools=[FUNCTION])
        thread = await beta.threads.create(messages=[{"role": "user", "content": words}])
        async with beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
            await stream.until_done()
            run = stream.current_run
        assert run is not None
        assert run.required_action is not None, run.last_error
        assert run.instructions == words
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        assert words in call.function.arguments
        ended = await beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=thread.id,
            tool_outputs=[{"tool_call_id": call.id, "output": words}],
            poll_interval_ms=POLL_MS,
        )
        assert ended.status == "completed", ended.last_error
        self.said[thread.id] = [f"It rains {words}.", words]

    async def store(self) -> None:
        """A file at once, another one in parts; read both, and one of all that there are."""
        content = os.urandom(SIZE)
        file = await self.client.files.create(file=("whole", content), purpose="assistants")
        self.files[file.id] = content
        upload = await self.client.uploads.create(
            bytes=SIZE, filename="parts.txt", mime_type="text/plain", purpose="assistants"
        )
        parts = [
            (await self.client.uploads.parts.create(upload.id, data=piece)).id
            for piece in (content[:FRAME], content[FRAME:])
        ]
        completed = await self.client.uploads.complete(upload.id, part_ids=parts)
        assert completed.file is not None
        self.files[completed.file.id] = content
        for file_id in (file.id, completed.file.id, random.choice(list(self.files))):
            assert (await self.client.files.content(file_id)).content == self.files[file_id]

    async def _kept(self, thread_id: str) -> list[str]:
        messages = await self.client.beta.threads.messages.list(thread_id)
        return [part.text.value for message in messages.data for part in message.content if part.type == "text"]
