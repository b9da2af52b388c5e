"""A worker: what it holds and has lost, what its sweeper did, how long runs took."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics.registry import LONG_S, REGISTRY
from shared.metrics.runs import moved

HELD = Gauge("assistantd_worker_runs_held", "Runs that this worker holds.", registry=REGISTRY)
FILES_HELD = Gauge("assistantd_worker_files_held", "Files that this worker is reading.", registry=REGISTRY)
CAPACITY = Gauge("assistantd_worker_runs_capacity", "Runs that it holds at most.", registry=REGISTRY)
LEASES_LOST = Counter(
    "assistantd_leases_lost",
    "Runs and files that this worker had to let go of because it could not renew its lease.",
    registry=REGISTRY,
)
SWEPT = Counter(
    "assistantd_swept", "Rows that the sweeper moved, and rings that it repeated.", ["what"], registry=REGISTRY
)
REMOVED = Counter(
    "assistantd_removed",
    "Rows and other remains that were removed after their owner was deleted, by what they were.",
    ["what"],
    registry=REGISTRY,
)
RETIRED = Counter(
    "assistantd_retired",
    "Threads, files and outputs that were deleted because their project keeps them only for so long.",
    ["what"],
    registry=REGISTRY,
)
SWEEPS_FAILED = Counter("assistantd_sweeps_failed", "Duties of the sweeper that failed.", ["duty"], registry=REGISTRY)
LAST_SWEEP = Gauge("assistantd_last_sweep_timestamp_seconds", "When a sweep last came to its end.", registry=REGISTRY)
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


def claimed(run: Mapping[str, Any]) -> None:
    """A run was claimed; its history tells of the claim, and of the move that queued it, unless that was creation."""
    history = run["history"]
    queued_at = datetime.fromisoformat(history[-2]["at"]) if len(history) > 1 else run["created_at"]
    WAIT.observe((run["claimed_at"] - queued_at).total_seconds())


def settled(run: Mapping[str, Any]) -> None:
    """A run left this worker's hands, or ended in them."""
    moved(run)
    if run["finished_at"] is not None:
        DURATION.labels(run["status"]).observe((run["finished_at"] - run["created_at"]).total_seconds())
