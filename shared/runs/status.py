"""The states of a run and of a step: pure, and the only list of them.

queued ──▶ in_progress ──▶ completed | incomplete | failed | cancelled | expired
  ▲            │
  │            ├──▶ requires_action ──▶ cancelled | expired
  │            │          │
  └────────────┴──────────┘   released or crashed; tool outputs submitted
"""

from enum import StrEnum


class RunStatus(StrEnum):
    """What a run is doing, who moved it there, and what a crash leaves."""

    QUEUED = "queued"
    """Waiting for a worker. Set by creation, by submitted tool outputs, by a worker that drains and by the sweeper
    after a crash. If the doorbell was lost the sweeper rings again."""

    IN_PROGRESS = "in_progress"
    """Exactly one worker holds the lease and renews it. If the worker dies the lease expires and the sweeper queues
    the run again; every step recorded so far stays."""

    REQUIRES_ACTION = "requires_action"
    """Waiting for the client's tool outputs; nobody holds a lease. Left by submission, cancellation or expiry."""

    COMPLETED = "completed"
    """The model finished its answer. Final."""

    INCOMPLETE = "incomplete"
    """A token limit of the run, or the model's own, ended it early. Final."""

    FAILED = "failed"
    """`last_error` says why. Final."""

    CANCELLED = "cancelled"
    """The client asked for it. Final. `cancelling`, which clients see before it, is not stored: it is an
    in_progress run whose `cancel_requested_at` is set."""

    EXPIRED = "expired"
    """`expires_at` passed first. Final."""


ACTIVE = frozenset({RunStatus.QUEUED, RunStatus.IN_PROGRESS, RunStatus.REQUIRES_ACTION})
"""States that lock the thread: no second run, no new message."""

TERMINAL = frozenset(RunStatus) - ACTIVE
"""States that are never left; `finished_at` is set exactly in these."""


class StepStatus(StrEnum):
    """What a step is doing. Only a step whose tools have yet to answer is stored in progress."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    EXPIRED = "expired"


class MessageStatus(StrEnum):
    """Whether a message says all that it was to say."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


def in_sql(statuses: frozenset[RunStatus]) -> str:
    """`statuses` as the right side of SQL's IN."""
    return "(" + ", ".join(f"'{status}'" for status in sorted(statuses)) + ")"


LOCKS_THREAD = f"status IN {in_sql(ACTIVE)} AND NOT waiting"
"""In SQL: the one run that its thread belongs to."""

WAITS_FOR_THREAD = "status = 'queued' AND waiting"
"""In SQL: runs behind it."""

WAITS_FOR_WORKER = "status = 'queued' AND NOT waiting"
"""In SQL: runs that could be claimed."""
