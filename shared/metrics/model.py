"""Turns of the model, and the calls of tools between them."""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from shared.metrics.registry import LONG_S, REGISTRY, Names

TURN = Histogram(
    "assistantd_turn_duration_seconds",
    "From asking the model to the end of its answer.",
    ["model"],
    buckets=LONG_S,
    registry=REGISTRY,
)
FIRST_TOKEN = Histogram(
    "assistantd_first_token_seconds",
    "From asking the model to its first word, retries included.",
    ["model"],
    buckets=LONG_S,
    registry=REGISTRY,
)
TOKENS = Counter("assistantd_tokens", "Tokens as the model counted them.", ["model", "kind"], registry=REGISTRY)
RETRIES = Counter("assistantd_model_retries", "Times that the model was asked again.", ["code"], registry=REGISTRY)
FAILURES = Counter("assistantd_model_failures", "Turns that the model failed.", ["code"], registry=REGISTRY)
TOOL_CALLS = Counter(
    "assistantd_tool_calls",
    "Calls of tools: functions as they were handed to clients, ours as they were carried out.",
    ["tool", "outcome"],
    registry=REGISTRY,
)
TOOL_DURATION = Histogram(
    "assistantd_tool_call_duration_seconds", "Of our own tools.", ["tool"], buckets=LONG_S, registry=REGISTRY
)

MODELS = Names(at_most=20)


@contextmanager
def tool_call(tool: str) -> Generator[None]:
    """One of our own tools is at work for the block: `done`, `failed` or, if the run was to stop, `interrupted`."""
    began, outcome = time.monotonic(), "interrupted"
    try:
        yield
        outcome = "done"
    except Exception:
        outcome = "failed"
        raise
    finally:
        TOOL_CALLS.labels(tool, outcome).inc()
        TOOL_DURATION.labels(tool).observe(time.monotonic() - began)


def answered(model: str, took_s: float, usage: Mapping[str, int] | None) -> None:
    """The model's answer is complete."""
    name = MODELS.label(model)
    TURN.labels(name).observe(took_s)
    if usage is not None:
        TOKENS.labels(name, "prompt").inc(usage["prompt_tokens"])
        TOKENS.labels(name, "completion").inc(usage["completion_tokens"])
