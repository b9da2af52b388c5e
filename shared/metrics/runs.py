"""Runs, turns of the model, calls of tools."""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics.registry import LONG_S, REGISTRY, Names

CREATED = Counter("assistantd_runs_created", "Runs that clients created.", registry=REGISTRY)
SETTLED = Counter(
    "assistantd_runs_settled",
    "Runs that ended, or that their worker gave out of hand: the status they went to, and why.",
    ["status", "reason"],
    registry=REGISTRY,
)
WAIT = Histogram(
    "assistantd_run_wait_seconds",
    "From being queued to a worker's claim; behind another run of its thread, from creation.",
    buckets=LONG_S,
    registry=REGISTRY,
)
DURATION = Histogram(
    "assistantd_run_duration_seconds",
    "From creation to the end, of runs that a worker ended.",
    ["status"],
    buckets=LONG_S,
    registry=REGISTRY,
)
HELD = Gauge("assistantd_worker_runs_held", "Runs that this worker holds.", registry=REGISTRY)
CAPACITY = Gauge("assistantd_worker_runs_capacity", "Runs that it holds at most.", registry=REGISTRY)
LEASES_LOST = Counter(
    "assistantd_leases_lost",
    "Runs and files that this worker had to let go of because it could not renew its lease.",
    registry=REGISTRY,
)
SWEPT = Counter(
    "assistantd_swept", "Rows that the sweeper moved, and rings that it repeated.", ["what"], registry=REGISTRY
)
SWEEPS_FAILED = Counter("assistantd_sweeps_failed", "Duties of the sweeper that failed.", ["duty"], registry=REGISTRY)
LAST_SWEEP = Gauge("assistantd_last_sweep_timestamp_seconds", "When a sweep last came to its end.", registry=REGISTRY)

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
MODEL_FAILURES = Counter("assistantd_model_failures", "Turns that the model failed.", ["code"], registry=REGISTRY)
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


def claimed(run: Mapping[str, Any]) -> None:
    """A run was claimed; its history tells of the claim, and of the move that queued it, unless that was creation."""
    history = run["history"]
    queued_at = datetime.fromisoformat(history[-2]["at"]) if len(history) > 1 else run["created_at"]
    WAIT.observe((run["claimed_at"] - queued_at).total_seconds())


def moved(run: Mapping[str, Any]) -> None:
    """A run ended, or left its worker's hands: `status` and `reason` as they are now."""
    SETTLED.labels(run["status"], run["reason"]).inc()


def settled(run: Mapping[str, Any]) -> None:
    """The same by its worker, who knows how long it took."""
    moved(run)
    if run["finished_at"] is not None:
        DURATION.labels(run["status"]).observe((run["finished_at"] - run["created_at"]).total_seconds())


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
