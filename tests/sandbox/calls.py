"""What a call came to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from worker.sandbox.client import Done, Event, Failure, Image, SandboxClient, SandboxSession, Text


@dataclass(frozen=True)
class Heard:
    events: list[Event]

    def text(self, *kinds: str) -> str:
        """What was printed, or of certain kinds."""
        texts = [event for event in self.events if isinstance(event, Text)]
        return "".join(event.text for event in texts if not kinds or event.kind in kinds)

    @property
    def images(self) -> list[bytes]:
        return [event.png for event in self.events if isinstance(event, Image)]

    @property
    def failure(self) -> Failure:
        (failure,) = (event for event in self.events if isinstance(event, Failure))
        return failure

    @property
    def done(self) -> Done:
        done = self.events[-1]
        assert isinstance(done, Done)
        return done


async def run(session: SandboxSession, code: str, *, call_id: str | None = None, seconds: float = 30) -> Heard:
    """Execute and hear it all."""
    timeout = timedelta(seconds=seconds)
    return Heard([event async for event in session.execute(call_id or uuid4().hex, code, timeout)])


async def value(session: SandboxSession, code: str) -> str:
    """The value of the code's last expression, which must not fail."""
    heard = await run(session, code)
    assert heard.done.status == "ok", heard.events
    return heard.text("result").rstrip("\n")


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once something holds that only asking tells."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.02)


async def until_busy(client: SandboxClient, session: SandboxSession) -> None:
    """Return once the session executes something."""

    async def busy() -> bool:
        return (await client.ask("GET", f"/sessions/{session.id}"))["state"] == "busy"

    await until(busy)


async def until_warm(client: SandboxClient, count: int) -> None:
    """Return once that many interpreters wait: those that are being started have work to do."""

    async def warm() -> bool:
        return (await client.health())["warm"] >= count

    await until(warm)
