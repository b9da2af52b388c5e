"""The scripted model's HTTP server: scripts in, requests recorded, turns played."""

import asyncio
import socket
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import orjson
from aiohttp import web

from tests.scripted_model.answers import Answer
from tests.scripted_model.turns import Fail, Turn
from tests.scripted_model.wire import Json, echo, error_envelope

PATIENCE = timedelta(seconds=10)


@dataclass
class Received:
    """A request as it came. Instants are seconds of `time.monotonic`."""

    model: str
    body: Json
    headers: dict[str, str]
    received_at: float = field(default_factory=time.monotonic)
    answered_at: float | None = None
    """When the last byte, or the scripted end of the connection, was sent."""
    disconnected_at: float | None = None
    """When the client left before it was answered."""

    @property
    def messages(self) -> list[Json]:
        return self.body["messages"]


class ScriptedModel:
    """A model whose answers a test has written down.

    Must be started and used on one event loop. Model names without a script echo the last user message. A script that
    has run out answers 500 and is noted in `surprises`: the fixture should fail a test that left any.
    """

    def __init__(self, *, port: int = 0) -> None:
        self.surprises: list[str] = []
        self._port = port
        self._names = count(1)
        self._turns: dict[str, deque[Turn]] = {}
        self._received: defaultdict[str, list[Received]] = defaultdict(list)
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on the loopback address; port 0 takes a free one."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        # Without handler_cancellation a client that leaves would not be noticed until the next write.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        await web.SockSite(runner, listener).start()
        self._runner = runner

    async def stop(self) -> None:
        """Close the port and every connection, held answers included."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def script(self, *turns: Turn, name: str | None = None) -> str:
        """Append turns to a model name's script, a fresh name's unless given; returns the name."""
        name = name or f"scripted-{next(self._names)}"
        self._turns.setdefault(name, deque()).extend(turns)
        return name

    def remaining(self, name: str) -> int:
        """How many turns of a script nobody has asked for."""
        return len(self._turns[name])

    def requests(self, name: str) -> list[Received]:
        """What was received for a model name so far, oldest first."""
        return list(self._received[name])

    async def requested(self, name: str, n: int = 1, *, within: timedelta = PATIENCE) -> Received:
        """Wait for the n-th request for this model name, counted from 1."""
        await self._until(lambda: len(self._received[name]) >= n, f"{name!r} asked {n} times", within)
        return self._received[name][n - 1]

    async def answered(self, name: str, n: int = 1, *, within: timedelta = PATIENCE) -> Received:
        """Wait until n requests for this model name were answered to the end; returns the n-th of them."""
        await self._until(lambda: len(self._answered(name)) >= n, f"{name!r} answered {n} times", within)
        return self._answered(name)[n - 1]

    async def disconnected(self, name: str, n: int = 1, *, within: timedelta = PATIENCE) -> Received:
        """Wait until n clients left before they were answered; returns the n-th request left so."""
        await self._until(lambda: len(self._left(name)) >= n, f"{name!r} left by {n} clients", within)
        return self._left(name)[n - 1]

    def _answered(self, name: str) -> list[Received]:
        return [request for request in self._received[name] if request.answered_at is not None]

    def _left(self, name: str) -> list[Received]:
        return [request for request in self._received[name] if request.disconnected_at is not None]

    async def _until(self, holds: Callable[[], bool], what: str, within: timedelta) -> None:
        try:
            async with asyncio.timeout(within.total_seconds()):
                while not holds():
                    await self._changed.wait()
        except TimeoutError:
            seen = {name: len(requests) for name, requests in self._received.items() if requests}
            raise AssertionError(f"not within {within}: {what}; requests so far: {seen}") from None

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _models(self, _: web.Request) -> web.Response:
        names = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in self._turns]
        return web.json_response({"object": "list", "data": names})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            body: Json = orjson.loads(await request.read())
            received = Received(str(body["model"]), body, dict(request.headers))
            turn = self._next_turn(received)
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            refusal = error_envelope(f"not a chat completion request: {error!r}", type="invalid_request_error")
            return web.json_response(refusal, status=400)
        self._received[received.model].append(received)
        self._tell()

        def answered() -> None:
            received.answered_at = time.monotonic()
            self._tell()

        try:
            return await Answer(request, body, answered).play(turn)
        except (asyncio.CancelledError, ConnectionResetError):
            if received.answered_at is None:
                received.disconnected_at = time.monotonic()
                self._tell()
            raise

    def _next_turn(self, received: Received) -> Turn:
        name = received.model
        if name not in self._turns:
            return echo(received.body)
        if self._turns[name]:
            return self._turns[name].popleft()
        surprise = f"the script of model {name!r} is exhausted: nobody expected request {len(self._received[name]) + 1}"
        self.surprises.append(surprise)
        # The official client would otherwise try again and hide the surprise behind a wait.
        return Fail(500, surprise, code="script_exhausted", headers={"x-should-retry": "false"})
