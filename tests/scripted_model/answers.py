"""Playing one turn into one HTTP response."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import count

import orjson
from aiohttp import web

from tests.scripted_model.turns import (
    Break,
    CallFunctions,
    Empty,
    Fail,
    Garbage,
    Gate,
    Hang,
    Say,
    StreamError,
    Turn,
)
from tests.scripted_model.wire import (
    Json,
    choice,
    chunk,
    completion,
    deltas,
    error_envelope,
    usage,
    whole_choice,
)

_ids = count(1)


class Answer:
    """The answer to one request; `done` is called right before the client can see that it is complete.

    Raises `ConnectionResetError` or is cancelled when the client leaves first.
    """

    def __init__(self, request: web.Request, body: Json, done: Callable[[], None]) -> None:
        self._request = request
        self._body = body
        self._done = done
        self._streams = bool(body.get("stream"))
        self._id = f"chatcmpl-{next(_ids)}"

    async def play(self, turn: Turn) -> web.StreamResponse:
        """Send the response, held back as the turn wants it."""
        await _hold(turn.before)
        match turn:
            case Say() | CallFunctions():
                response = await (self._stream(turn) if self._streams else self._whole(turn))
            case Break():
                response = await self._break(turn)
            case StreamError():
                response = await self._stream_error(turn)
            case Fail():
                response = self._fail(turn)
            case Hang():
                response = await asyncio.get_running_loop().create_future()
            case Garbage():
                self._done()
                response = web.Response(body=turn.body, headers={"Content-Type": turn.content_type})
            case Empty():
                response = await self._empty()
        return response

    def counts(self, turn: Say | CallFunctions) -> Json:
        """What the answer says that it has cost; asked for when it is about to."""
        return usage(self._body, turn)

    async def _stream(self, turn: Say | CallFunctions) -> web.StreamResponse:
        response = await self._begin_stream()
        await self._send_pieces(response, turn)
        await self._send(response, [choice({}, turn.finish)])
        if turn.usage and self._wants_usage:
            await self._write(response, chunk(self._id, self._model, [], usage=self.counts(turn)))
        await _hold(turn.after)
        return await self._end_stream(response)

    async def _whole(self, turn: Say | CallFunctions) -> web.Response:
        call_ids = _call_ids(turn)
        for piece in deltas(turn, call_ids):
            await _pace(piece, turn.delay)
        counts = self.counts(turn) if turn.usage else None
        self._done()
        return web.json_response(completion(self._id, self._model, [whole_choice(turn, call_ids)], counts))

    async def _break(self, turn: Break) -> web.StreamResponse:
        if self._streams:
            response = await self._begin_stream()
            await self._send_pieces(response, turn.of, turn.after)
        else:
            response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
            await response.prepare(self._request)
            await response.write(b'{"id": "')
        self._done()
        if self._request.transport is not None:
            self._request.transport.close()
        return response

    async def _stream_error(self, turn: StreamError) -> web.StreamResponse:
        error = error_envelope(turn.message)
        if not self._streams:
            self._done()
            return web.json_response(error, status=500)
        response = await self._begin_stream()
        await self._send_pieces(response, turn.of, turn.after)
        await self._write(response, error)
        self._done()
        await response.write_eof()
        return response

    def _fail(self, turn: Fail) -> web.Response:
        self._done()
        if isinstance(turn.body, str):
            return web.Response(text=turn.body, status=turn.status, headers=turn.headers)
        body = turn.body or error_envelope(turn.message, type=turn.type, code=turn.code)
        return web.json_response(body, status=turn.status, headers=turn.headers)

    async def _empty(self) -> web.StreamResponse:
        if not self._streams:
            self._done()
            return web.json_response(completion(self._id, self._model, [], None))
        response = await self._begin_stream(role=False)
        await self._send(response, [])
        return await self._end_stream(response)

    async def _begin_stream(self, *, role: bool = True) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(self._request)
        if role:
            await self._send(response, [choice({"role": "assistant", "content": ""})])
        return response

    async def _send_pieces(self, response: web.StreamResponse, turn: Say | CallFunctions, n: int | None = None) -> None:
        """Stream the turn's pieces, only the first n where n is given; gates before the n-th hold."""
        sent = 0
        for piece in deltas(turn, _call_ids(turn)):
            if sent == n:
                return
            await _pace(piece, turn.delay)
            if not isinstance(piece, Gate):
                await self._send(response, [choice(piece)])
                sent += 1

    async def _end_stream(self, response: web.StreamResponse) -> web.StreamResponse:
        self._done()
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _send(self, response: web.StreamResponse, choices: Iterable[Json]) -> None:
        nulls = {"usage": None} if self._wants_usage else {}
        await self._write(response, chunk(self._id, self._model, list(choices), **nulls))

    async def _write(self, response: web.StreamResponse, event: Json) -> None:
        await response.write(b"data: " + orjson.dumps(event) + b"\n\n")

    @property
    def _model(self) -> str:
        return self._body["model"]

    @property
    def _wants_usage(self) -> bool:
        return bool((self._body.get("stream_options") or {}).get("include_usage"))


async def _pace(piece: Json | Gate, delay: timedelta) -> None:
    await _hold(piece if isinstance(piece, Gate) else delay)


async def _hold(back: timedelta | Gate | None) -> None:
    if isinstance(back, Gate):
        await back.wait_until_open()
    elif back:
        await asyncio.sleep(back.total_seconds())


def _call_ids(turn: Say | CallFunctions) -> list[str]:
    return [f"call_{next(_ids)}" for _ in turn.calls] if isinstance(turn, CallFunctions) else []
