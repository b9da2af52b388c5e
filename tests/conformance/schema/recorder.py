"""A transport for the official client that holds everything which passes through it against the contract."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2

from tests.conformance.schema.contract import Contract, contract

DONE = "[DONE]"
UPLOADED = re.compile(r"/v1/files/[^/]+/content")  # what clients uploaded follows no schema of ours


class Recorder(httpx2.AsyncBaseTransport):
    """Passes requests on and judges what comes back.

    `violations` are sentences about what did not conform. `seen` tells what passed: of every object its kind together
    with its status and with its type, or with nothing, and every event together with the kind of object in it.
    """

    def __init__(self, judge: Contract | None = None, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.violations: list[str] = []
        self.seen: set[tuple[str, str]] = set()
        self._contract = judge or contract()
        self._transport = transport or httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._transport.handle_async_request(request)
        kind = response.headers.get("content-type", "")
        where = f"{request.method} {request.url.path} {response.status_code}"
        if kind.startswith("text/event-stream"):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Tee(response.stream, lambda event, data: self._event(f"{where} {event}", event, data))
        elif kind.startswith("application/json") and not UPLOADED.fullmatch(request.url.path):
            await response.aread()
            self._answer(where, request, response)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()

    def check(self) -> None:
        """Raises AssertionError with everything that did not conform."""
        assert not self.violations, "\n".join(["answers that break the contract:", *self.violations])

    def _answer(self, where: str, request: httpx2.Request, response: httpx2.Response) -> None:
        body: Any = json.loads(response.content)
        path = request.url.path.removeprefix("/v1")
        found = self._contract.judge_answer(request.method, path, response.status_code, body)
        self.violations += [f"{where}: {sentence}" for sentence in found]
        self.seen |= set(_kinds(body))

    def _event(self, where: str, event: str, data: str) -> None:
        body = data if data == DONE else json.loads(data)
        self.violations += [f"{where}: {sentence}" for sentence in self._contract.judge_event(event, body)]
        self.seen |= {(event, kind) for kind, _ in _kinds(body)}


class _Tee(httpx2.AsyncByteStream):
    """A stream of events, passed on as it is, each event told once it is whole."""

    def __init__(self, stream: httpx2.AsyncByteStream, tell: Callable[[str, str], None]) -> None:
        self._stream = stream
        self._tell = tell

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in self._stream:
            *blocks, rest = (rest + chunk).split(b"\n\n")
            for block in blocks:
                self._read(block.decode())
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _read(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            self._tell(fields["event"], fields["data"])


def _kinds(body: Any) -> Iterator[tuple[str, str]]:
    """An object's kind with its status and its type; a list's, and those of what it lists."""
    match body:
        case {"error": _}:
            yield "error", ""
        case {"object": str(kind)}:
            yield kind, ""
            yield from ((kind, body[key]) for key in ("status", "type") if isinstance(body.get(key), str))
            for item in body.get("data", []):
                yield from _kinds(item)
        case _:
            yield str(body), ""
