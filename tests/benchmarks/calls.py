"""What a client does, and at which instants: each call returns marks, in seconds since 1970."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.http1 import Connection

POLL_AFTER_S = 0.005
MESSAGE = {"role": "user", "content": "Hello there, how are you today?"}
FIRST_TOKEN, COMPLETED = b"event: thread.message.delta\n", b"event: thread.run.completed\n"
MOVING = ("queued", "in_progress")

Marks = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to call, and with what."""

    connection: Connection
    assistant_id: str
    model: str
    thread_id: str

    def run(self, **more: object) -> dict[str, Any]:
        """The body of a run's creation."""
        return {"assistant_id": self.assistant_id, "model": self.model, **more}


async def streamed(target: Target) -> Marks:
    """Create a thread and a run on it and follow it to its end."""
    marks = {"sent": time.time()}
    body = target.run(stream=True, thread={"messages": [MESSAGE]})
    async for piece in target.connection.stream("POST", "/v1/threads/runs", body):
        now = time.time()
        marks.setdefault("answered", now)
        if FIRST_TOKEN in piece:
            marks.setdefault("first", now)
        if COMPLETED in piece:
            marks["completed"] = now
    return marks | {"first": marks["first"], "completed": marks["completed"]}  # KeyError: it didn't get that far


async def polled(target: Target) -> Marks:
    """Create a thread, a message and a run, and look at the run until it is over."""
    ask, marks = target.connection.json, {"began": time.time()}
    thread = f"/v1/threads/{(await ask('POST', '/v1/threads', {}))['id']}"
    await ask("POST", f"{thread}/messages", MESSAGE)
    marks["sent"] = time.time()
    polls = await _ended(ask, thread, await ask("POST", f"{thread}/runs", target.run()))
    return marks | {"completed": time.time(), "polls": polls}


async def created(target: Target) -> Marks:
    """Create a thread and a run on it, and leave."""
    marks = {"sent": time.time()}
    await target.connection.json("POST", "/v1/threads/runs", target.run(thread={"messages": [MESSAGE]}))
    return marks | {"completed": time.time()}


async def paged(target: Target) -> Marks:
    """Create a run on a thread that exists and list its newest messages; then, outside the marks, wait for its end."""
    ask, thread, sent = target.connection.json, f"/v1/threads/{target.thread_id}", time.time()
    run = await ask("POST", f"{thread}/runs", target.run())
    await ask("GET", f"{thread}/messages?limit=10")
    marks = {"sent": sent, "listed": time.time()}
    await _ended(ask, thread, run)
    return marks | {"completed": time.time()}


async def direct(target: Target) -> Marks:
    """Ask the upstream itself."""
    marks = {"sent": time.time()}
    async for piece in target.connection.stream("POST", "/v1/chat/completions", {"model": target.model}):
        if b"word0" in piece:
            marks["first"] = time.time()
    return marks | {"first": marks["first"], "completed": time.time()}


async def _ended(ask: Callable[..., Awaitable[Any]], thread: str, run: dict[str, Any]) -> int:
    """Poll until the run is over; returns how often. Raises RuntimeError if it didn't complete."""
    polls = 0
    while run["status"] in MOVING:
        await asyncio.sleep(POLL_AFTER_S)
        polls += 1
        run = await ask("GET", f"{thread}/runs/{run['id']}")
    if run["status"] != "completed":
        raise RuntimeError(f"the run is {run['status']}: {run['last_error']}")
    return polls


CALLS: Mapping[str, Callable[[Target], Awaitable[Marks]]] = {
    call.__name__: call for call in (streamed, polled, created, paged, direct)
}
