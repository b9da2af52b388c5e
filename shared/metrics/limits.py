"""Limits of projects: what they refused, and what could not be counted."""

from typing import Literal, get_args

from prometheus_client import Counter, Gauge

from shared.metrics.registry import REGISTRY

Kind = Literal["requests", "model_requests", "tokens", "stored_bytes", "sandbox_sessions"]

REFUSED = Counter("assistantd_limits_refused", "What a project's limit refused.", ["kind"], registry=REGISTRY)
UNCOUNTED = Counter(
    "assistantd_limits_uncounted", "Requests and turns that could not be counted: Redis was away.", registry=REGISTRY
)
TURNS_WAITING = Gauge(
    "assistantd_limits_turns_waiting", "Turns that wait for their project to have tokens again.", registry=REGISTRY
)

for _kind in get_args(Kind):  # from the start, so that the first one is seen as growth
    REFUSED.labels(_kind)


def refused(kind: Kind) -> None:
    """Something was refused for a limit of this kind."""
    REFUSED.labels(kind).inc()
