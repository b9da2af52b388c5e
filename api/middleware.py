"""Around every request: an id, a clock, a limit on the body, and the last line of defence."""

import re
import time
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException

from api import tracing
from api.admission import headers_of
from api.errors import STATUS, internal
from shared import ids
from shared.errors import TooLarge
from shared.metrics import http as metrics
from shared.wire import limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

API_VERSION = "2020-10-01"  # what OpenAI sends as openai-version
MULTIPART_SLACK = 1024 * 1024  # bytes of boundaries and other fields around an uploaded file
FILE = "/v1/files"
PART = re.compile("/v1/uploads/[^/]+/parts")


class RequestContext:
    """Adds `x-request-id`, `openai-version`, `openai-processing-ms` and where the project stands with its limits; turns
    a defect into a 500 in the envelope.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began, started = ids.new("req"), time.monotonic(), False

        async def send_with_headers(message: "Message") -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["openai-version"] = API_VERSION
                took_s = time.monotonic() - began
                headers["openai-processing-ms"] = str(int(took_s * 1000))
                headers.update(headers_of(scope))
                metrics.answered(scope.get("route"), scope["method"], message["status"], took_s)
                tracing.answered(span, scope, message["status"], request_id)
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        with tracing.request_span(scope) as span:
            try:
                await self._app(scope, _limited(scope, receive), send_with_headers)
            except Exception:
                route = getattr(scope.get("route"), "path", None)
                log.exception("request.crashed", method=scope["method"], route=route)
                if started:
                    raise
                await internal(request_id)(scope, receive, send_with_headers)
            finally:
                structlog.contextvars.clear_contextvars()


def _limited(scope: "Scope", receive: "Receive") -> "Receive":
    """Count what comes in: a body beyond its limit is refused while it arrives, whatever its headers said."""
    left = _allowed(scope["path"])

    async def counted() -> "Message":
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(STATUS[TooLarge], "The body of your request is too large.")
        return message

    return counted


def _allowed(path: str) -> int:
    """Bytes of a request's body."""
    if path == FILE:
        return limits.FILE_BYTES + MULTIPART_SLACK
    return limits.UPLOAD_PART_BYTES + MULTIPART_SLACK if PART.fullmatch(path) else limits.BODY_BYTES
