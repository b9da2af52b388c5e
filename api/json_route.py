"""How requests are read: with a key, as strict JSON, by orjson, and with nothing in them that we would ignore."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api import filters
from api.admission import admission_of, asks_itself
from api.errors import STATUS
from api.idempotency import HEADER, once
from api.scopes import scope_of
from shared.errors import InvalidRequest, NotFound
from shared.projects.keys import Known

JSON = "application/json"
FORM = "multipart/form-data"


class _Request(Request):
    async def json(self) -> Any:
        """The body. Python's own parser would let NaN and half surrogate pairs in, which nothing after it can store."""
        return orjson.loads(await self.body())


V1 = "assistants=v1"


class PlainRoute(APIRoute):
    """A route whose handler makes its answer itself: FastAPI is kept from making a model of what it says of it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        options["response_model"] = None
        super().__init__(path, endpoint, **options)


class JsonRoute(PlainRoute):
    """A route for callers with a key, whose handler gets its body from `_Request`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler around our request."""
        handle = super().get_route_handler()
        queries = {
            field.alias for field in get_flat_params(self.dependant) if isinstance(field.field_info, params.Query)
        }
        filtered = filters.apply_to(self.dependant)
        kind = self._kind()
        scope = scope_of(self.path_format, self.methods or ())
        counts = not asks_itself(self.path_format, self.methods or ())

        async def handle_json(request: Request) -> Response:
            # Before the body is read: whoever has no key can't make us parse or spool anything.
            key = await request.app.state.services.keys.open(request.headers.get("authorization"), scope)
            _refuse_unknown(request, queries, filtered=filtered)
            if kind is not None:
                _refuse_other_kinds(request, kind)
            request = _Request(request.scope, request.receive)
            if kind is None and request.method == "POST":
                await _refuse_any(request)
            request.state.project_id = key.project_id
            request.state.limits = key.limits
            request.state.key = key
            if key.project_id is not None:
                request.state.services = request.app.state.services.within(key.project_id)
            if request.method == "POST" and HEADER in request.headers:
                return await once(request, _keeper(key), handle_counted)
            return await handle_counted(request)

        async def handle_counted(request: Request) -> Response:
            """Behind the Idempotency-Key: what is answered from there counts for nothing."""
            if counts:
                await admission_of(request).of_request()
            return await handle(request)

        return handle_json

    def _kind(self) -> str | None:
        """The content type of the bodies that this route takes; None if it takes none."""
        if self.body_field is None:
            return None
        return FORM if isinstance(self.body_field.field_info, params.Form) else JSON


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


def _keeper(key: Known) -> str:
    """Whose answers are kept under an Idempotency-Key. Those of the administration show secrets, which nothing keeps.
    Raises InvalidRequest.
    """
    if key.project_id is None:
        raise InvalidRequest("The administration takes no Idempotency-Key.", param="Idempotency-Key")
    return key.project_id


def _refuse_unknown(request: Request, queries: set[str], *, filtered: bool) -> None:
    """A parameter that has no effect is refused by name; filters judge themselves. Raises InvalidRequest."""
    for name in request.query_params:
        if filtered and filters.is_one(name):
            continue
        if name not in queries:
            raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        many = name.endswith("[]") or f"{name}[]" in queries
        if not many and len(request.query_params.getlist(name)) > 1:
            raise InvalidRequest(f"Invalid '{name}': it was given more than once.", param=name, code="invalid_value")


async def _refuse_any(request: Request) -> None:
    """A body where none is taken is not ignored; an empty object says nothing. Raises InvalidRequest."""
    if (await request.body()).strip() not in (b"", b"{}", b"null"):
        raise InvalidRequest("This API method takes no body.", code="unknown_parameter")


def _refuse_other_kinds(request: Request, kind: str) -> None:
    """A body of another kind is refused before it is read; none at all is of any kind. Raises InvalidRequest."""
    headers = request.headers
    given = headers.get("content-type", "")
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    if has_body and given.partition(";")[0].strip().lower() != kind:
        raise InvalidRequest(
            f"Unsupported content type: '{given}'. This API method only accepts '{kind}' requests, but you specified "
            f"the header 'Content-Type: {given}'. Please try again with a supported content type.",
            code="unsupported_content_type",
        )
