"""Budgets, as whoever notices that they are reached counts them."""

from prometheus_client import Counter

from shared.metrics.registry import REGISTRY

REACHED = Counter(
    "assistantd_budgets_reached",
    "Budgets of projects that were reached: what their owners wanted to be told of, and what they may spend.",
    ["budget"],
    registry=REGISTRY,
)
for _which in ("alert", "limit"):
    REACHED.labels(_which)
