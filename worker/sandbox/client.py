"""The worker's side of the service: sessions, files, calls. Knows HTTP and nothing else.

    async with SandboxClient(url, secret) as sandbox:
        session = await sandbox.open(thread_id)            # the thread's own, made where there is none
        if session.is_new: …                               # put the thread's files; tell the model about `previous`
        await session.put("sales.csv", data)
        async for event in session.execute(call_id, code):  # Text, Image, Failure, and last Done
            …
        for file in await session.files(): …               # a new `version` is new content
            data = await session.read(file.name)

Every wait is bounded: a service that is down or silent is `UnavailableError` within ten seconds. An `execute` that is
cancelled or closed early cancels the call, which ends within two seconds; if its process dies instead, the call goes
on, and the same call id joins it.
"""

import asyncio
import base64
import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import aiohttp
import orjson

from shared import tls
from worker.sandbox.errors import ALL, LostError, RefusalError

__all__ = [
    "Done",
    "Ended",
    "Event",
    "Failure",
    "FileFacts",
    "Image",
    "LostError",
    "RefusalError",
    "SandboxClient",
    "SandboxSession",
    "SilentError",
    "Text",
    "UnavailableError",
]

CONNECT_S = 3.0
SILENCE_S = 10.0  # the service says something every five
BLOCK = 1024 * 1024
LONGEST_LINE = 16 * 1024 * 1024  # an image in base64, and some


class UnavailableError(Exception):
    """The service doesn't answer, or breaks off. Whether a call was executed is not known: ask again with its id."""


class SilentError(UnavailableError):
    """It was waited for as long as is worth it."""


@dataclass(frozen=True, slots=True)
class Text:
    """Something printed, or the value of the last expression (`result`)."""

    kind: Literal["stdout", "stderr", "result"]
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """Something shown: bytes that begin as a PNG does and may be anything."""

    png: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception that the code raised; the traceback ends with its name and message."""

    name: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Done:
    """The call's end. With `is_lost`, the session is no more, and `reason` says what ended it."""

    status: Literal["ok", "error", "interrupted", "killed"]
    reason: str | None
    seconds: float
    truncated: bool
    is_lost: bool


Event = Text | Image | Failure | Done


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A regular file below /mnt/data. `name` has slashes between directories and is safe to show."""

    name: str
    size: int
    version: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that is over: why, and what there is to bill."""

    generation: str
    reason: str
    started_at: datetime
    ended_at: datetime
    seconds: float

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """From the service's answer."""
        started_at, ended_at = (datetime.fromtimestamp(state[name]).astimezone() for name in ("started_at", "ended_at"))
        return cls(state["generation"], state["reason"], started_at, ended_at, state["seconds"])


class SandboxClient:
    """One service. Connections are kept; close it, or use it as a context."""

    def __init__(self, url: str, secret: str, authorities: Path | None = None) -> None:
        """`url` without a path; of `https`, its certificate may come from those `authorities` as well as from public
        ones. Nothing is connected before the first request.
        """
        self._authorities = authorities
        self._url = url.rstrip("/")
        self._secret = secret
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def health(self) -> dict[str, Any]:
        """Level of isolation and how full the service is. Raises UnavailableError."""
        return await self.ask("GET", "/healthz")

    async def open(self, session_id: str, idle: timedelta | None = None) -> "SandboxSession":
        """The session of that id, made where there is none; it ends once it is `idle` for so long, if that is given.
        Raises UnavailableError, or FullError, StartingError, DrainingError, BadRequestError.
        """
        params = {} if idle is None else {"idle": str(idle.total_seconds())}
        return SandboxSession(self, await self.ask("PUT", f"/sessions/{quote(session_id, safe='')}", params=params))

    async def end(self, session_id: str) -> Ended:
        """End the session of that id. Raises UnavailableError, NotFoundError."""
        return Ended.of(await self.ask("DELETE", f"/sessions/{quote(session_id, safe='')}"))

    async def ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """One request whose answer is an object. Raises UnavailableError and the service's refusals."""
        try:
            async with self._http.request(method, self._url + path, **more) as answer:
                await check(answer)
                return orjson.loads(await answer.read())
        except TimeoutError as error:
            raise SilentError(f"the sandbox service does not answer: {error!r}") from error
        except (aiohttp.ClientError, orjson.JSONDecodeError) as error:
            raise UnavailableError(f"the sandbox service does not answer: {tls.why(error) or repr(error)}") from error

    async def stream(self, method: str, path: str, **more: Any) -> AsyncGenerator[bytes]:
        """One request whose answer is read as it comes. Raises as `ask` does."""
        try:
            async with self._http.request(method, self._url + path, **more) as answer:
                await check(answer)
                async for block in answer.content.iter_any():
                    yield block
        except TimeoutError as error:
            raise SilentError(f"the sandbox service has fallen silent: {error!r}") from error
        except aiohttp.ClientError as error:
            raise UnavailableError(f"the sandbox service broke off: {tls.why(error) or repr(error)}") from error

    @property
    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {self._secret}"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S),
                connector=aiohttp.TCPConnector(limit=0, ssl=tls.trusting(self._authorities)),
            )
        return self._session


class SandboxSession:
    """One generation of a session. Every method raises LostError once it is over, and UnavailableError."""

    def __init__(self, client: SandboxClient, state: Mapping[str, Any]) -> None:
        self._client = client
        self.id: str = state["id"]
        self.generation: str = state["generation"]
        self.is_new: bool = not state["calls"] and state["state"] == "idle"
        self.previous: Ended | None = None if state["previous"] is None else Ended.of(state["previous"])
        self.started_at = datetime.fromtimestamp(state["started_at"]).astimezone()
        self.expires_at = datetime.fromtimestamp(state["expires_at"]).astimezone()
        self._path = f"/sessions/{quote(self.id, safe='')}"
        self._query = {"generation": self.generation}

    async def put(self, name: str, data: bytes | AsyncIterator[bytes]) -> None:
        """Put a file into /mnt/data in place of any of that name. Raises BadRequestError, TooLargeError besides."""
        body = io.BytesIO(data) if isinstance(data, bytes) else data
        await self._client.ask("PUT", f"{self._path}/content", params={**self._query, "name": name}, data=body)

    async def files(self) -> list[FileFacts]:
        """The regular files below /mnt/data, in order of their names. Links and what is too large are left out."""
        answer = await self._client.ask("GET", f"{self._path}/files", params=self._query)
        return [FileFacts(file["name"], file["size"], file["version"]) for file in answer["files"]]

    async def stream(self, name: str) -> AsyncGenerator[bytes]:
        """A file's content, a block at a time. Raises NotFoundError besides."""
        async for block in self._client.stream("GET", f"{self._path}/content", params={**self._query, "name": name}):
            yield block

    async def read(self, name: str) -> bytes:
        """A file's content. Raises NotFoundError besides."""
        return b"".join([block async for block in self.stream(name)])

    async def execute(self, call_id: str, code: str, timeout: timedelta | None = None) -> AsyncGenerator[Event]:  # noqa: ASYNC109 - the service's own
        """Execute code, or join the call of that id; yields what it shows and last a Done.

        `timeout` is the wall time after which it is interrupted. Raises BusyError while another call is under way,
        BadRequestError, TooLargeError besides.
        """
        request: dict[str, Any] = {"generation": self.generation, "call_id": call_id, "code": code}
        if timeout is not None:
            request["timeout"] = timeout.total_seconds()
        done = False
        try:
            async for line in _lines(self._client.stream("POST", f"{self._path}/execute", data=orjson.dumps(request))):
                event = _event(orjson.loads(line))
                done = isinstance(event, Done)
                yield event
            if not done:
                raise UnavailableError("the sandbox service broke off")
        except (asyncio.CancelledError, GeneratorExit):
            if not done:
                await asyncio.shield(self._give_up(call_id))
            raise

    async def cancel(self, call_id: str) -> None:
        """Ask a call to end; it is interrupted, and killed a second later. Raises NotFoundError besides."""
        await self._client.ask("POST", f"{self._path}/calls/{call_id}/cancel", params=self._query)

    async def _give_up(self, call_id: str) -> None:
        try:
            await self.cancel(call_id)
        except (UnavailableError, RefusalError):
            return  # it is over, or will be by its own limits


async def check(answer: aiohttp.ClientResponse) -> None:
    """Raise the service's refusal, if it is one."""
    if answer.ok:
        return
    try:
        error = orjson.loads(await answer.read())["error"]
        kind = next(kind for kind in ALL if kind.code == error["code"])
    except (orjson.JSONDecodeError, KeyError, TypeError, StopIteration):
        raise UnavailableError(f"the sandbox service answers {answer.status}") from None
    raise kind(error["message"])


async def _lines(blocks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Lines that are not empty. Raises UnavailableError where one is longer than the service makes them."""
    begun: list[bytes] = []
    try:
        async for block in blocks:
            *whole, rest = block.split(b"\n")
            for end in whole:
                line = b"".join([*begun, end])
                begun.clear()
                if line:
                    yield line
            begun.append(rest)
            if sum(map(len, begun)) > LONGEST_LINE:
                raise UnavailableError("the sandbox service sends a line without an end")
    finally:
        await blocks.aclose()


def _event(fields: dict[str, Any]) -> Event:
    match fields["type"]:
        case "display":
            return Image(base64.b64decode(fields["data"]))
        case "error":
            return Failure(fields["name"], fields["message"], fields["traceback"])
        case "done":
            lost = fields["session"] == "lost"
            return Done(fields["status"], fields["reason"], fields["seconds"], fields["truncated"], lost)
        case kind:
            return Text(kind, fields["text"])
