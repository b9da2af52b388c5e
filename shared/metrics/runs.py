"""Runs, as whoever moves them counts them: the API, a worker, the sweeper."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter

from shared.metrics.registry import REGISTRY
from shared.runs.status import RunStatus
from shared.runs.transitions import Reason

CREATED = Counter("assistantd_runs_created", "Runs that clients created.", registry=REGISTRY)
SETTLED = Counter(
    "assistantd_runs_settled",
    "Runs that ended, or that their worker gave out of hand: the status they went to, and why.",
    ["status", "reason"],
    registry=REGISTRY,
)

# From the start, so that the first one is seen as growth, and not as a new line that begins at 1.
for _status, _reason in (
    (RunStatus.COMPLETED, Reason.FINISHED),
    (RunStatus.INCOMPLETE, Reason.TRUNCATED),
    (RunStatus.FAILED, Reason.FAILED),
    (RunStatus.FAILED, Reason.OUT_OF_ATTEMPTS),
    (RunStatus.CANCELLED, Reason.CANCELLED),
    (RunStatus.EXPIRED, Reason.EXPIRED),
    (RunStatus.REQUIRES_ACTION, Reason.NEEDS_OUTPUTS),
    (RunStatus.QUEUED, Reason.RELEASED),
    (RunStatus.QUEUED, Reason.WORKER_LOST),
):
    SETTLED.labels(_status, _reason)


def moved(run: Mapping[str, Any]) -> None:
    """A run ended, or left its worker's hands: `status` and `reason` as they are now."""
    SETTLED.labels(run["status"], run["reason"]).inc()
