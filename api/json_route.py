"""How bodies are read: with a key, as strict JSON, by orjson."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.errors import STATUS
from api.idempotency import HEADER, once
from shared.errors import NotFound


class _Request(Request):
    async def json(self) -> Any:
        """The body. Python's own parser would let NaN and half surrogate pairs in, which nothing after it can store."""
        return orjson.loads(await self.body())


V1 = "assistants=v1"


class JsonRoute(APIRoute):
    """A route for callers with a key, whose handler gets its body from `_Request`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler around our request."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            # Before the body is read: whoever has no key can't make us parse or spool anything.
            keys = request.app.state.services.keys
            project_id = await keys.project_of(request.headers.get("authorization"))
            request = _Request(request.scope, request.receive)
            request.state.project_id = project_id
            if request.method == "POST" and HEADER in request.headers:
                return await once(request, project_id, handle)
            return await handle(request)

        return handle_json


class V1Route(JsonRoute):
    """A route that is there for clients which say v1; to others its address is like any unknown one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind a look at the header."""
        handle = super().get_route_handler()

        async def handle_v1(request: Request) -> Response:
            if request.headers.get("openai-beta") != V1:
                raise HTTPException(STATUS[NotFound])
            return await handle(request)

        return handle_v1
