"""The referee: a transport that holds everything which passes through it against the contract.

`Project.client` and `tests.http.session` have one each, so that no test can forget it; they fail, when they are closed,
the test whose answers did not conform.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx2

from tests.conformance import coverage
from tests.conformance.schema import ours
from tests.conformance.schema.contract import DONE, Contract, contract

if TYPE_CHECKING:
    from shared.wire.fields import Dialect

API = "/v1/"
UPLOADED = re.compile(r"/v1/files/[^/]+/content")  # what clients uploaded follows no schema of ours
EVENT_ID = re.compile(r"\d+-\d+")
CONNECTIONS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)  # the official client's own


class Recorder(httpx2.AsyncBaseTransport):
    """Passes requests on and judges what comes back, each by the dialect that it was asked in.

    `violations` are sentences about what did not conform. `seen` tells what passed: of every object its kind together
    with its status and with its type, or with nothing, and every event together with the kind of object in it.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.violations: list[str] = []
        self.seen: set[tuple[str, str]] = set()
        self._counts = transport is None  # what a stand-in for the server answers is no call of the API
        self._transport = transport or httpx2.AsyncHTTPTransport(limits=CONNECTIONS)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._transport.handle_async_request(request)
        dialect: Dialect = "v1" if request.headers.get("openai-beta") == "assistants=v1" else "v2"
        if self._counts:
            coverage.note(request.method, request.url.path, dialect, response.status_code)
        if not request.url.path.startswith(API):
            return response  # health and the like, which OpenAI doesn't describe
        kind = response.headers.get("content-type", "")
        where = f"{request.method} {request.url.path} {response.status_code}"
        self._violated(where, *_headers(response))
        if kind.startswith("text/event-stream"):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            judge = contract(dialect)
            response.stream = _Tee(response.stream, lambda fields: self._event(judge, where, fields))
        elif response.is_error or not UPLOADED.fullmatch(request.url.path):
            await response.aread()
            self._answer(contract(dialect), where, request, response)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()

    def check(self) -> None:
        """Raises AssertionError with everything that did not conform."""
        assert not self.violations, "\n".join(["answers that break the contract:", *self.violations])

    def _violated(self, where: str, *sentences: str) -> None:
        self.violations += [f"{where}: {sentence}" for sentence in sentences]

    def _answer(self, judge: Contract, where: str, request: httpx2.Request, response: httpx2.Response) -> None:
        try:
            body: Any = json.loads(response.content)
        except ValueError:
            self._violated(where, f"{response.content[:100]!r} is no JSON")
            return
        path = request.url.path.removeprefix("/v1")
        self._violated(where, *judge.judge_answer(request.method, path, response.status_code, body))
        if self._counts:
            self._violated(where, *ours.judge_answer(request.method, request.url.path, response.status_code, body))
        self.seen |= set(_kinds(body))

    def _event(self, judge: Contract, where: str, fields: dict[str, str]) -> None:
        if set(fields) != {"id", "event", "data"}:
            self._violated(where, f"an event has an id, a name and data, not {sorted(fields)}")
            return
        event, data = fields["event"], fields["data"]
        if not EVENT_ID.fullmatch(fields["id"]):
            self._violated(where, f"{fields['id']!r} is no id of an event")
        body = data if data == DONE else json.loads(data)
        self._violated(f"{where} {event}", *judge.judge_event(event, body))
        self.seen |= {(event, kind) for kind, _ in _kinds(body)}


class _Tee(httpx2.AsyncByteStream):
    """A stream of events, passed on as it is, each event told once it is whole."""

    def __init__(self, stream: httpx2.AsyncByteStream, tell: Callable[[dict[str, str]], None]) -> None:
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
            self._tell(fields)


def _headers(response: httpx2.Response) -> Iterator[str]:
    """What every answer is to carry, whatever is in it."""
    if not response.headers.get("x-request-id", "").startswith("req_"):
        yield "it has no x-request-id"
    if response.is_error and not response.headers.get("content-type", "").startswith("application/json"):
        yield "an error is told in JSON"


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
