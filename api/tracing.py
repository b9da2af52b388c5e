"""A request's span, named by its route as OpenTelemetry's conventions for HTTP want it."""

from typing import TYPE_CHECKING

import structlog

from shared.tracing.spans import ERROR, NOTHING, STATE, Span

if TYPE_CHECKING:
    from starlette.types import Scope

OURS = "/v1/"  # probes are not worth a trace
DEFECT = 500


def request_span(scope: "Scope") -> Span:
    """The span of a request, in its client's trace if it has one; a stream's lasts until the stream ends. The path
    isn't told, for clients may write into it what they like: what are ids in it is told below.
    """
    if STATE.tracing is None or not scope["path"].startswith(OURS):
        return NOTHING
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    attributes = {"http.request.method": scope["method"], "url.scheme": scope["scheme"]}
    return STATE.tracing.request(scope["method"], headers, attributes)


def answered(span: Span, scope: "Scope", status: int, request_id: str) -> None:
    """The response begins: its route is known by now, and the ids that logs bear."""
    if STATE.tracing is None:
        return
    ids = {f"assistantd.{name}": value for name, value in structlog.contextvars.get_contextvars().items()}
    route = scope.get("route")
    told = {**ids, "assistantd.request_id": request_id, "http.response.status_code": status}
    if route is not None:
        pattern = f"/v1{route.path}"
        span.rename(f"{scope['method']} {pattern}")
        told["http.route"] = pattern
    if status >= DEFECT:
        told[ERROR] = str(status)
    span.set(told)
