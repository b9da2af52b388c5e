"""The service's HTTP: who may ask, what is asked, how it is answered.

    GET    /healthz                                 level of isolation, its holes, how full it is; for anybody
    PUT    /sessions/{id}                           the session of that id, made where there is none
    GET    /sessions/{id}      DELETE /sessions/{id}   its state, also after its end
    POST   /sessions/{id}/execute                   {"generation", "call_id", "code", "timeout"?}: events, a line each
    POST   /sessions/{id}/calls/{call}/cancel       ?generation=
    GET    /sessions/{id}/files                     ?generation=
    PUT    /sessions/{id}/content                   ?generation=&name=, the body is the file
    GET    /sessions/{id}/content                   ?generation=&name=

Events: {"type": "stdout" | "stderr" | "result", "text"}, {"type": "display", "mime": "image/png", "data": base64},
{"type": "error", "name", "message", "traceback"}, last {"type": "done", "status": "ok" | "error" | "interrupted" |
"killed", "reason", "seconds", "truncated", "session": "alive" | "lost"}. An empty line says that the call goes on.
`reason` is null, "timeout", "cancelled", "memory", "disk", "died", "protocol", or the session's end.
"""

import asyncio
import hmac
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, cast

import orjson
import structlog
from aiohttp import web

from shared.metrics.sandbox import REFUSED
from worker.sandbox import files
from worker.sandbox.errors import (
    ALL,
    BadRequestError,
    DrainingError,
    NotFoundError,
    RefusalError,
    TooLargeError,
    UnauthorizedError,
)
from worker.sandbox.files import BadNameError, Found, Incoming, NoFileError
from worker.sandbox.isolation.level import Isolation
from worker.sandbox.session import Session
from worker.sandbox.sessions import Sessions
from worker.sandbox.settings import SandboxSettings

log = structlog.get_logger(__name__)

for _kind in ALL:
    REFUSED.labels(_kind.code)  # from the start, so that the first one is seen as growth

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BEAT_S = 5.0
BLOCK = 1024 * 1024
BODY = 8 * 1024 * 1024  # of a request that is JSON: code, escaped


class Service:
    """The handlers."""

    def __init__(self, settings: SandboxSettings, isolation: Isolation, sessions: Sessions) -> None:
        self._secret = settings.secret.get_secret_value().encode()
        self._settings = settings
        self._isolation = isolation
        self._sessions = sessions

    def application(self) -> web.Application:
        """All of it as an application of aiohttp's."""
        app = web.Application(middlewares=[_answer_errors, self._authenticate], client_max_size=BODY)
        app.router.add_routes(
            [
                web.get("/healthz", self._health),
                web.put("/sessions/{id}", self._open),
                web.get("/sessions/{id}", self._state),
                web.delete("/sessions/{id}", self._close),
                web.post("/sessions/{id}/execute", self._execute),
                web.post("/sessions/{id}/calls/{call}/cancel", self._cancel),
                web.get("/sessions/{id}/files", self._list),
                web.put("/sessions/{id}/content", self._put),
                web.get("/sessions/{id}/content", self._get),
            ]
        )
        return app

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode("utf-8", "surrogateescape")
        if request.path != "/healthz" and not hmac.compare_digest(given, self._secret):
            raise UnauthorizedError("not the shared secret")
        return await handler(request)

    async def _health(self, _: web.Request) -> web.Response:
        isolation = {
            "level": self._isolation.name,
            "minimum": self._settings.minimum,
            "holes": self._isolation.HOLES,
            **self._isolation.details,
        }
        status = "draining" if self._sessions.is_draining else "ok"
        return _json({"status": status, "isolation": isolation, **self._sessions.counts})

    async def _open(self, request: web.Request) -> web.Response:
        idle = self._idle(request.query.get("idle"))
        session, is_new = await self._sessions.open(request.match_info["id"])
        session.idle_timeout = idle
        last = self._sessions.last_ended(session.id)
        state = {**session.state(), "previous": None if last is None else last.state()}
        return _json(state, HTTPStatus.CREATED if is_new else HTTPStatus.OK)

    async def _state(self, request: web.Request) -> web.Response:
        session_id = request.match_info["id"]
        for session in self._sessions.all:
            if session.id == session_id:
                return _json(session.state())
        ended = self._sessions.last_ended(session_id)
        if ended is None:
            raise NotFoundError(f"no session {session_id}")
        return _json(ended.state())

    async def _close(self, request: web.Request) -> web.Response:
        return _json((await self._sessions.close(request.match_info["id"])).state())

    async def _execute(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        session = await self._session(request, body.get("generation"))
        code, call_id = body.get("code"), body.get("call_id")
        if not isinstance(code, str) or not isinstance(call_id, str):
            raise BadRequestError("code and call_id: expected strings")
        if self._sessions.is_draining and not session.knows(call_id):
            raise DrainingError("the service is about to end")
        record = await session.execute(call_id, code, self._within(body.get("timeout"), session))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        async for block in record.follow(BEAT_S):
            await response.write(block)
        return response

    def _within(self, asked: object, session: Session) -> timedelta:
        """How long a call may take: what is asked for, or the default, but never beyond the session's end."""
        limits = self._sessions.limits
        longest = limits.longest_call.total_seconds()
        match asked:
            case None:
                wanted = limits.call
            case bool():
                raise BadRequestError("timeout: expected seconds")
            case int() | float() if 0 < asked <= longest:
                wanted = timedelta(seconds=asked)
            case _:
                raise BadRequestError(f"timeout: expected seconds, more than 0 and at most {longest:g}")
        return min(wanted, self._settings.lifetime - session.age)

    def _idle(self, asked: str | None) -> timedelta:
        """How long a session may idle: what is asked for, or the default; it ends with its lifetime all the same."""
        try:
            idle = self._settings.idle_timeout if asked is None else timedelta(seconds=float(asked))
        except (ValueError, OverflowError):
            idle = timedelta(0)
        if idle <= timedelta(0):
            raise BadRequestError("idle: expected seconds, more than 0")
        return idle

    async def _cancel(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        session.cancel(request.match_info["call"])
        return _json({})

    async def _list(self, request: web.Request) -> web.Response:
        found, left_out = await self._files(await self._session(request))
        listed = [{"name": file.name, "size": file.size, "version": file.version} for file in found]
        return _json({"files": listed, "left_out": [{"name": name, "reason": reason} for name, reason in left_out]})

    async def _files(self, session: Session) -> tuple[list[Found], list[tuple[str, str]]]:
        limits = self._sessions.limits
        found, left_out = await asyncio.to_thread(
            files.listing, session.interpreter.data, most=limits.disk_entries, largest=limits.file_size
        )
        session.listed = {file.name: file for file in found}
        return found, left_out

    async def _put(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        limits, interpreter = self._sessions.limits, session.interpreter
        used, _ = await asyncio.to_thread(files.usage, interpreter.data, limits.disk_entries)
        room = min(limits.file_size, limits.disk - used)
        try:
            incoming = Incoming(interpreter.data, request.query.get("name", ""), interpreter.owner)
        except BadNameError as error:
            raise BadRequestError(str(error)) from error
        size = 0
        try:
            async for block in request.content.iter_chunked(BLOCK):
                size += len(block)
                _check_room(size, room)
                await asyncio.to_thread(incoming.write, block)
        except BaseException:
            incoming.abandon()
            raise
        try:
            incoming.finish()
        except OSError as error:
            raise BadRequestError(f"the file can't be put there: {error.strerror}") from error
        session.touch()
        return _json({"name": request.query.get("name", ""), "size": size}, HTTPStatus.CREATED)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        session = await self._session(request)
        name, largest = request.query.get("name", ""), self._sessions.limits.file_size
        if name not in session.listed:
            await self._files(session)
        file = session.listed.get(name)
        if file is None:
            raise NotFoundError(f"no file {name}")
        try:
            descriptor = files.open_to_read(session.interpreter.data, file.path, largest)
        except NoFileError as error:
            raise NotFoundError(str(error)) from error
        try:
            return await _send(request, descriptor)
        finally:
            os.close(descriptor)

    async def _session(self, request: web.Request, generation: object = None) -> Session:
        wanted = request.query.get("generation") if generation is None else generation
        if not isinstance(wanted, str):
            raise BadRequestError("generation: expected the session's")
        return await self._sessions.get(request.match_info["id"], wanted)


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusalError as error:
        REFUSED.labels(error.code).inc()
        return _json({"error": {"code": error.code, "message": error.message}}, error.status)
    except web.HTTPException as error:
        return _json({"error": {"code": "http", "message": error.reason}}, HTTPStatus(error.status))


def _check_room(size: int, room: int) -> None:
    if size > room:
        raise TooLargeError(f"the session has room for {max(0, room)} bytes in one more file")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(body, dict):
        raise BadRequestError("the body is not an object")
    return cast("dict[str, Any]", body)


async def _send(request: web.Request, descriptor: int) -> web.StreamResponse:
    """A file as it is now; one that shrinks meanwhile breaks off, so that nobody takes a part for the whole."""
    size = os.fstat(descriptor).st_size
    response = web.StreamResponse(
        headers={"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff"}
    )
    response.content_length = size
    await response.prepare(request)
    position = 0
    while position < size:
        block = await asyncio.to_thread(os.pread, descriptor, min(BLOCK, size - position), position)
        if not block:
            raise ConnectionAbortedError("the file has shrunk")
        await response.write(block)
        position += len(block)
    return response


def _json(body: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
