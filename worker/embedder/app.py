"""The embedder's HTTP: OpenAI's embeddings, as far as one model has them.

    GET  /healthz           for anybody
    GET  /v1/models
    POST /v1/embeddings     {"input": text | texts, "model"?, "encoding_format"?: "float" | "base64",
                             "dimensions"?: those that it has}

Requests carry `Authorization: Bearer <key>`. Refusals are OpenAI's, with `param`.
"""

import base64
import hmac
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from shared.metrics import embedder as metrics
from worker.embedder.lanes import Embedder, Lanes
from worker.embedder.model import Embedded

BODY = 16 * 1024 * 1024  # bytes of a request
TEXTS = 2048  # as in OpenAI's
CHARACTERS = 65_536  # of a text: seconds of work that can't be ended in the middle

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadRequest(Exception):
    """What was asked for can't be had; `param` says which part of it."""

    def __init__(self, message: str, param: str | None) -> None:
        super().__init__(message)
        self.param = param


def application(lanes: Lanes, key: str) -> web.Application:
    """The embedder as an application of aiohttp's."""

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode("utf-8", "surrogateescape")
        if request.path != "/healthz" and not hmac.compare_digest(given, key.encode()):
            return _refusal(HTTPStatus.UNAUTHORIZED, "Incorrect API key provided.", code="invalid_api_key")
        return await handler(request)

    async def embed(request: web.Request) -> web.Response:
        try:
            texts, is_packed = _asked(await request.read(), lanes.model)
        except BadRequest as error:
            return _refusal(HTTPStatus.BAD_REQUEST, str(error), param=error.param)
        with metrics.DURATION.time():
            embedded = await lanes.embed(texts)
        metrics.TEXTS.inc(len(texts))
        return _json(_answer(lanes.model.name, embedded, is_packed=is_packed))

    async def health(_: web.Request) -> web.Response:
        return _json({"status": "ok", "model": lanes.model.name})

    async def models(_: web.Request) -> web.Response:
        model = {
            "id": lanes.model.name,
            "object": "model",
            "created": 1_630_281_600,
            "owned_by": "sentence-transformers",
        }
        return _json({"object": "list", "data": [model]})

    app = web.Application(middlewares=[authenticate], client_max_size=BODY)
    app.router.add_get("/healthz", health)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/embeddings", embed)
    return app


def _asked(raw: bytes, model: Embedder) -> tuple[list[str], bool]:
    """The texts, and whether vectors shall be packed. Raises BadRequest."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}", None) from None
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.", None)
    given: Any = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise BadRequest("Expected a text, or an array of texts, none of which is empty.", "input")
    if not 0 < len(texts) <= TEXTS:
        raise BadRequest(f"Expected from 1 to {TEXTS} texts.", "input")
    if any(len(text) > CHARACTERS for text in texts):
        raise BadRequest(f"Expected texts of at most {CHARACTERS} characters.", "input")
    if body.get("model", model.name) != model.name:
        raise BadRequest(f"There is one model here: {model.name}.", "model")
    if body.get("dimensions") not in (None, model.dimensions):
        raise BadRequest(f"{model.name} has {model.dimensions} dimensions, no more and no fewer.", "dimensions")
    if (form := body.get("encoding_format")) not in (None, "float", "base64"):
        raise BadRequest("Expected 'float' or 'base64'.", "encoding_format")
    return texts, form == "base64"


def _answer(model: str, embedded: Embedded, *, is_packed: bool) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if is_packed else vector}
        for index, vector in enumerate(embedded.vectors)
    ]
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _packed(vector: Any) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _refusal(status: HTTPStatus, message: str, *, param: str | None = None, code: str | None = None) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return _json({"error": error}, status)


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return web.Response(body=body, status=status, content_type="application/json")
