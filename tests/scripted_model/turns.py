"""What a scripted model can do when it is asked: one small tagged union, `Turn`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

Finish = Literal["stop", "length", "content_filter", "tool_calls", "function_call"]

NO_TIME = timedelta(0)


class Gate:
    """Holds an answer until the test opens it; the test can wait until the answer has come this far.

    One gate may hold several answers; once open it stays open.
    """

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let go of the answers that wait here, and of all that come later."""
        self._opened.set()

    async def reached(self, within: timedelta = timedelta(seconds=10)) -> None:
        """Return once an answer waits here; `TimeoutError` when none does within the time."""
        async with asyncio.timeout(within.total_seconds()):
            await self._reached.wait()

    async def wait_until_open(self) -> None:
        """The server's side: wait here."""
        self._reached.set()
        await self._opened.wait()


@dataclass(frozen=True, kw_only=True)
class Held:
    """What all turns share: `before` delays the status line and everything behind it."""

    before: timedelta | Gate | None = None


@dataclass(frozen=True)
class Say(Held):
    """Answer with text.

    A plain string is streamed word by word. A sequence is streamed piece by piece, and a gate among the pieces holds
    the rest. `usage=False` is a server that never reports usage, even when asked to; `cached` of the prompt's tokens
    are said to have been at hand, and none are spoken of where it is None. `after` holds the stream's end, when all is
    said and what it cost.
    """

    text: str | Sequence[str | Gate]
    finish: Finish = field(default="stop", kw_only=True)
    delay: timedelta = field(default=NO_TIME, kw_only=True)
    """Passes before every piece."""
    usage: bool = field(default=True, kw_only=True)
    cached: int | None = field(default=None, kw_only=True)
    after: Gate | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class CallFunctions(Held):
    """Answer with function calls, each a name and its arguments (a string is sent as it is, valid JSON or not).

    Arguments are streamed in `pieces` parts, one call after the other or, `interleaved`, part by part in turn.
    `ids=False` and `indexes=False` leave those fields out of streamed chunks, and ids out of plain answers, as some
    servers do.
    """

    calls: Sequence[tuple[str, Mapping[str, Any] | str]]
    text: str | None = field(default=None, kw_only=True)
    pieces: int = field(default=3, kw_only=True)
    interleaved: bool = field(default=False, kw_only=True)
    ids: bool = field(default=True, kw_only=True)
    indexes: bool = field(default=True, kw_only=True)
    finish: Finish = field(default="tool_calls", kw_only=True)
    delay: timedelta = field(default=NO_TIME, kw_only=True)
    usage: bool = field(default=True, kw_only=True)
    cached: int | None = field(default=None, kw_only=True)
    after: Gate | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Break(Held):
    """Begin the answer `of`, then cut the connection after that many pieces; the role chunk doesn't count."""

    of: Say | CallFunctions
    after: int


@dataclass(frozen=True)
class StreamError(Held):
    """Begin the answer `of`, then send an error event in mid-stream and end; a plain request is answered 500."""

    of: Say | CallFunctions
    after: int
    message: str = "the server had an error while processing your request"


@dataclass(frozen=True)
class Fail(Held):
    """Answer with an HTTP error. `body` replaces the usual envelope; a string is sent as text."""

    status: int
    message: str = "scripted failure"
    type: str = field(default="server_error", kw_only=True)
    code: str | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)
    body: Mapping[str, Any] | str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Hang(Held):
    """Never answer, not even a status line."""


@dataclass(frozen=True)
class Garbage(Held):
    """Answer 200 with a body that keeps no promise, cut JSON in an event unless told otherwise."""

    body: bytes = b'data: {"id": "chatcmpl-1", "choi\n\n'
    content_type: str = "text/event-stream"


@dataclass(frozen=True)
class Empty(Held):
    """Answer properly in form, without any choice."""


Turn = Say | CallFunctions | Break | StreamError | Fail | Hang | Garbage | Empty
