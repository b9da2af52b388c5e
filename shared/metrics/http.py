"""What the API answers."""

from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics.registry import OTHER, REGISTRY

ANSWER_S = (0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 30)
METHODS = {"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"}

REQUESTS = Counter(
    "assistantd_http_requests",
    "Requests answered, by the route's pattern, less /v1.",
    ["route", "method", "code"],
    registry=REGISTRY,
)
ANSWER = Histogram(
    "assistantd_http_request_duration_seconds",
    "Until the response begins: a stream goes on for as long as its run.",
    ["route"],
    buckets=ANSWER_S,
    registry=REGISTRY,
)
CLIENTS = Gauge("assistantd_stream_clients", "Streams of events that are open.", registry=REGISTRY)


def answered(route: Any, method: str, code: int, took_s: float) -> None:
    """A response began. `route` is the matched one, None where there is no such path."""
    pattern = OTHER if route is None else route.path
    REQUESTS.labels(pattern, method if method in METHODS else OTHER, code).inc()
    ANSWER.labels(pattern).observe(took_s)
