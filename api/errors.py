"""Errors as clients see them: OpenAI's envelope, and the only table of HTTP status codes.

A busy thread is a 400 and never a 409, and a malformed body a 400 and never a 422: the SDKs retry the one and raise an
exception for the other that no code written for OpenAI catches.
"""

import math
from datetime import timedelta
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.admission import LimitsUnavailable
from api.auth import Unauthorized
from api.validation import describe
from shared.errors import AssistantdError, InvalidRequest, NoQuota, NotFound, RateLimited, TooLarge
from shared.files.sealed import BlobDamaged
from shared.files.storage import StoreUnavailable
from shared.vault.contents import ContentLost, ContentUnavailable, UnstorableError

log = structlog.get_logger(__name__)

STATUS: dict[type[AssistantdError], int] = {
    NotFound: 404,
    InvalidRequest: 400,
    TooLarge: 413,
    RateLimited: 429,
    NoQuota: 429,
}
HEADERS: dict[type[AssistantdError], dict[str, str]] = {NoQuota: {"x-should-retry": "false"}}  # nor will it help
OK = 200
PARTIAL_CONTENT = 206
UNAUTHORIZED = 401
NO_SUCH_RANGE = 416
UNAVAILABLE = 503
INTERNAL = 500

RETRY_AFTER_S = 1

NO_NULL = "Strings in a request can't contain the null character (\\u0000)."

NO_SUCH = {
    404: "Invalid URL ({} {})",
    405: "Not allowed to {} on {}. (HINT: Perhaps you meant to use a different HTTP method?)",
}
"""What is said of a method and a path that no route has."""


def envelope(
    message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The error object under its `error` key; all four keys are always there."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """An error response."""
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def install(app: FastAPI) -> None:
    """Make every error of the application leave in the envelope."""

    @app.exception_handler(AssistantdError)
    async def _domain(_: Request, error: AssistantdError) -> Response:
        body = envelope(error.message, kind=error.kind, param=error.param, code=error.code)
        return answer(_status(error), body, HEADERS.get(type(error)))

    @app.exception_handler(RateLimited)
    async def _rate_limited(_: Request, error: RateLimited) -> Response:
        body = envelope(error.message, kind=error.kind, code=error.code)
        return answer(STATUS[RateLimited], body, _retry_after(error.retry_after))

    @app.exception_handler(Unauthorized)
    async def _unauthorized(_: Request, error: Unauthorized) -> Response:
        return answer(UNAUTHORIZED, envelope(error.message, code=error.code))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        problem = describe(error)
        return answer(STATUS[InvalidRequest], envelope(problem.message, param=problem.param, code=problem.code))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        message = NO_SUCH.get(error.status_code, error.detail)
        headers = dict(error.headers) if error.headers else None
        return answer(error.status_code, envelope(message.format(request.method, request.url.path)), headers)

    @app.exception_handler(DataError)
    async def _unstorable(_: Request, error: DataError) -> Response:
        return answer(STATUS[InvalidRequest], envelope(_unstorable_because(error), code="invalid_value"))

    @app.exception_handler(UnstorableError)
    async def _null(_: Request, __: Exception) -> Response:
        return answer(STATUS[InvalidRequest], envelope(NO_NULL, code="invalid_value"))

    _install_unavailable(app)


def _install_unavailable(app: FastAPI) -> None:
    """What is away for a while or lost for good, and is told from what is wrong."""

    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    @app.exception_handler(PoolTimeout)
    async def _database_away(request: Request, error: Exception) -> Response:
        state = getattr(getattr(error, "orig", None), "sqlstate", None)
        log.error("database.away", path=request.url.path, error=type(error).__name__, sqlstate=state)
        message = "The server's database can't carry the request out at the moment. Please try again."
        return _unavailable(message, "database_unavailable")

    @app.exception_handler(LimitsUnavailable)
    async def _limits_away(_: Request, __: Exception) -> Response:
        message = "The server can't count what your project uses at the moment. Please try again."
        return _unavailable(message, "limits_unavailable")

    @app.exception_handler(ContentUnavailable)
    async def _content_sealed(request: Request, error: Exception) -> Response:
        log.error("content.unavailable", path=request.url.path, reason=str(error))
        return _unavailable("The server can't open what it has stored at the moment.", "content_unavailable")

    @app.exception_handler(ContentLost)
    @app.exception_handler(BlobDamaged)
    async def _content_lost(request: Request, error: Exception) -> Response:
        log.error("content.lost", path=request.url.path, reason=str(error))
        problem = envelope(ContentLost.TOLD, kind="server_error", code="content_lost")
        return answer(INTERNAL, problem, {"x-should-retry": "false"})

    @app.exception_handler(StoreUnavailable)
    async def _store_away(request: Request, error: Exception) -> Response:
        log.error("store.away", path=request.url.path, reason=str(error))
        return _unavailable(
            "The server's file storage does not work at the moment. Please try again.", "storage_unavailable"
        )


def _unavailable(message: str, code: str) -> Response:
    headers = {"retry-after": str(RETRY_AFTER_S)}
    return answer(UNAVAILABLE, envelope(message, kind="server_error", code=code), headers)


def _retry_after(time: timedelta) -> dict[str, str]:
    """When to try again: the official clients obey the milliseconds, others know the seconds, which are rounded up."""
    milliseconds = math.ceil(time / timedelta(milliseconds=1))
    return {"retry-after": str(math.ceil(milliseconds / 1000)), "retry-after-ms": str(milliseconds)}


def _status(error: AssistantdError) -> int:
    return next(status for kind, status in STATUS.items() if isinstance(error, kind))


def _unstorable_because(error: DataError) -> str:
    """The two things that JSON can say and Postgres can't keep."""
    reason = str(error.orig)
    if "NUL" in reason or "u0000" in reason:
        return NO_NULL
    return "A number in the request is out of range."


def internal(request_id: str) -> Response:
    """What a client reads of a defect of ours; the log has the rest under the same id."""
    message = f"The server had an error while processing your request. Its id is {request_id}."
    return answer(INTERNAL, envelope(message, kind="server_error"))
