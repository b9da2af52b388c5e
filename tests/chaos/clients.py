"""Clients that know nothing but HTTP: they create, read, poll, submit and cancel, and try again where a server died."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import aclosing, suppress

from tests.chaos.ledger import Kind, Ledger, Story
from tests.chaos.reader import TERMINAL, Reader
from tests.chaos.upstream import FUNCTION
from tests.chaos.wire import Broken, Form, Json, Refused, Wire

PATIENCE_S = 60.0
PAUSE_S = 0.2
_TOOLS = {
    Kind.TOOLS: [FUNCTION],
    Kind.CODE: [{"type": "code_interpreter"}],
    Kind.FILES: [{"type": "file_search"}],
}


class Client:
    """One client of many. With an Idempotency-Key it may send a creation again: one run comes of it."""

    def __init__(self, wire: Wire, assistant_id: str, ledger: Ledger, rng: random.Random) -> None:
        self._wire = wire
        self._assistant_id = assistant_id
        self._ledger = ledger
        self._rng = rng

    async def serve(self, stories: Iterator[Story]) -> None:
        """Live through one story after the other."""
        for story in stories:
            began = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._live(story)
            except TimeoutError:
                self._ledger.given_up.append(story)
            story.took_s = time.monotonic() - began

    async def _live(self, story: Story) -> None:
        half = self._rng.random() < 1 / 2
        streamed = story.kind is Kind.STREAMED or (story.kind in (Kind.TOOLS, Kind.CODE) and half)
        if story.kind is Kind.FILES:
            story.store_id = await self._fill_store(story)
        while not story.run_id:
            await (self._create_streamed(story) if streamed else self._create(story))
        if story.kind is Kind.CANCELLED:
            await asyncio.sleep(self._rng.random() / 2)
            await self._cancel(story)
        while story.status is None:
            if story.kind is Kind.TOOLS:
                await self._submit(story)
            await (self._follow(story) if streamed or (story.kind is Kind.CANCELLED and half) else self._poll(story))

    async def _fill_store(self, story: Story) -> str:
        """A file, and a store with it; the run finds it there as soon as it has been read."""
        file = await self._until_answered("POST", "/files", _file_of(story), idempotency_key=f"{story.name}-file")
        body = {"file_ids": [file["id"]]}
        store = await self._until_answered("POST", "/vector_stores", body, idempotency_key=f"{story.name}-store")
        while store["status"] != "completed":
            await asyncio.sleep(PAUSE_S)
            store = await self._until_answered("GET", f"/vector_stores/{store['id']}")
        return store["id"]

    async def _create(self, story: Story) -> None:
        run = await self._until_answered("POST", "/threads/runs", self._creation(story), idempotency_key=story.name)
        self._promise(story, run)

    async def _create_streamed(self, story: Story) -> None:
        """The run is promised with the first event that shows it: its creation, unless that was lost with the log."""
        reader = Reader(story, self._ledger)
        body = {**self._creation(story), "stream": True}
        with suppress(Broken, Refused):
            async with aclosing(self._wire.events("POST", "/threads/runs", body, idempotency_key=story.name)) as events:
                async for event in events:
                    if event.data.get("object") == "thread.run" and not story.run_id:
                        self._promise(story, event.data)
                    reader.take(event)
            self._came_to_an_end(story, reader)
            return
        await asyncio.sleep(PAUSE_S)

    async def _follow(self, story: Story) -> None:
        """Read the run's events from their beginning, after each break from where it was, to their end."""
        reader = Reader(story, self._ledger)
        while not reader.done:
            here = {} if reader.last is None else {"last_event_id": f"{reader.last[0]}-{reader.last[1]}"}
            try:
                async with aclosing(self._wire.events("GET", f"{self._path(story)}/events", None, **here)) as events:
                    async for event in events:
                        reader.take(event)
                self._came_to_an_end(story, reader)
            except (Broken, Refused):
                self._ledger.counts["streams joined again"] += 1
                await asyncio.sleep(PAUSE_S)

    def _came_to_an_end(self, story: Story, reader: Reader) -> None:
        if not reader.done:
            self._ledger.offend(story, f"[RUN-7] a stream ended properly after {reader.last}, but not with done")
            reader.done = True
        if reader.status in TERMINAL:
            story.status, story.ended_by_stream = reader.status, True

    async def _poll(self, story: Story) -> None:
        """Until the run has ended, or waits for its client."""
        while True:
            run = await self._until_answered("GET", self._path(story))
            if run["status"] in TERMINAL:
                story.status = run["status"]
            if run["status"] in TERMINAL or run["status"] == "requires_action":
                return
            await asyncio.sleep(PAUSE_S)

    async def _submit(self, story: Story) -> None:
        """Whatever the answer is, the run's status says what came of it."""
        run = await self._until_answered("GET", self._path(story))
        if run["status"] == "requires_action":
            calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
            outputs = {"tool_outputs": [{"tool_call_id": call["id"], "output": "found"} for call in calls]}
            with suppress(Broken, Refused):
                await self._wire.ask("POST", f"{self._path(story)}/submit_tool_outputs", outputs)

    async def _cancel(self, story: Story) -> None:
        """[RUN-6]: an acknowledgement is kept in mind; being too late is not the server's fault."""
        while not story.cancel_acknowledged:
            try:
                await self._wire.ask("POST", f"{self._path(story)}/cancel")
            except Broken:
                await asyncio.sleep(PAUSE_S)
            except Refused as refusal:
                if "Cannot cancel" in str(refusal):
                    self._ledger.counts["cancels that came too late"] += 1
                    return
                await asyncio.sleep(PAUSE_S)
            else:
                story.cancel_acknowledged = True

    async def _until_answered(self, method: str, path: str, body: Json | Form | None = None, **headers: str) -> Json:
        while True:
            try:
                return await self._wire.ask(method, path, body, **headers)
            except (Broken, Refused) as problem:
                self._ledger.counts[f"requests tried again: {type(problem).__name__.lower()}"] += 1
                self._ledger.refusals[str(problem)[:80]] += 1
                await asyncio.sleep(PAUSE_S)

    def _promise(self, story: Story, run: Json) -> None:
        story.run_id, story.thread_id = run["id"], run["thread_id"]
        self._ledger.promised.append(story)

    def _creation(self, story: Story) -> Json:
        thread: Json = {"messages": [{"role": "user", "content": f"This is {story.name}."}]}
        if story.store_id is not None:
            thread["tool_resources"] = {"file_search": {"vector_store_ids": [story.store_id]}}
        tools = {"tools": _TOOLS[story.kind]} if story.kind in _TOOLS else {}
        return {"assistant_id": self._assistant_id, "thread": thread, **tools}

    def _path(self, story: Story) -> str:
        return f"/threads/{story.thread_id}/runs/{story.run_id}"


def _file_of(story: Story) -> Form:
    return Form({"purpose": "assistants"}, f"{story.name}.txt", f"All there is to know of {story.name}.".encode())
