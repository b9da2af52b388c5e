"""Every legal move of a run: one constructor a move, each naming exactly the columns that it changes.

A transition is a value; `shared/runs/statements.py` turns it into the one guarded UPDATE that may carry it out. Nothing
here does I/O or asks what time it is: instants are set by the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar

from shared.runs.status import ACTIVE, TERMINAL, RunStatus


class Reason(StrEnum):
    """Why a run moved: apart from the status, because several moves end in one status."""

    CLAIMED = "claimed"
    RECORDED = "recorded"
    NEEDS_OUTPUTS = "needs_outputs"
    OUTPUTS_SUBMITTED = "outputs_submitted"
    RELEASED = "released"
    WORKER_LOST = "worker_lost"
    FINISHED = "finished"
    TRUNCATED = "truncated"
    FAILED = "failed"
    OUT_OF_ATTEMPTS = "out_of_attempts"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Holder(StrEnum):
    """Who may carry out a move. Whoever takes a run over from somebody else begins a new term."""

    WORKER = "worker"
    """The worker whose term it is: the write carries the term, and fails once the run has passed on."""

    CLAIMANT = "claimant"
    """A worker that takes a queued run: begins a term."""

    ANYONE = "anyone"
    """API or sweeper, on a run that no living worker holds: begins a term, so that whoever held it is fenced off."""


class Cancel(StrEnum):
    """How a move stands to a request to cancel, which is only ever set."""

    YIELDS = "yields"
    """Impossible once a cancel was acknowledged."""
    NEEDED = "needed"
    """Possible only then."""
    INDIFFERENT = "indifferent"


class Now(StrEnum):
    """Values that only the database can compute."""

    INSTANT = "now()"
    ONE_MORE = "one more than before"


@dataclass(frozen=True, slots=True)
class OutOfAttempts:
    """The `last_error` of a run that has lost too many workers; `COUNT` stands for how many, which the row knows."""

    COUNT: ClassVar = "{attempts}"
    message: str


@dataclass(frozen=True, slots=True)
class Transition:
    """One move: from any of `sources` to `to`, setting `values` besides what the status itself implies.

    A `timedelta` among the values means that long from now, a dict is stored as JSON.
    """

    reason: Reason
    to: RunStatus
    sources: frozenset[RunStatus]
    holder: Holder
    cancel: Cancel
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def final(self) -> bool:
        """Does this move end the run?"""
        return self.to in TERMINAL


_HELD = frozenset({RunStatus.IN_PROGRESS})
_WAITING = frozenset({RunStatus.QUEUED, RunStatus.REQUIRES_ACTION})

Usage = Mapping[str, int]
"""`prompt_tokens`, `completion_tokens`, `total_tokens`, summed over the run."""


def claim(owner: str, lease: timedelta) -> Transition:
    """A worker takes a queued run."""
    return Transition(
        Reason.CLAIMED,
        RunStatus.IN_PROGRESS,
        frozenset({RunStatus.QUEUED}),
        Holder.CLAIMANT,
        Cancel.YIELDS,
        {"lease_owner": owner, "lease_expires_at": lease},
    )


def record(usage: Usage) -> Transition:
    """What was done is kept while the run goes on. An acknowledged cancel doesn't undo it; it comes next."""
    values = {"usage": dict(usage)}
    return Transition(Reason.RECORDED, RunStatus.IN_PROGRESS, _HELD, Holder.WORKER, Cancel.INDIFFERENT, values)


def require_action(usage: Usage, tool_calls: list[dict[str, Any]]) -> Transition:
    """The model called functions that only the client can execute."""
    return _by_worker(
        Reason.NEEDS_OUTPUTS, RunStatus.REQUIRES_ACTION, usage=dict(usage), required_action={"tool_calls": tool_calls}
    )


def complete(usage: Usage) -> Transition:
    """The model finished."""
    return _by_worker(Reason.FINISHED, RunStatus.COMPLETED, usage=dict(usage))


def truncate(usage: Usage, incomplete_reason: str) -> Transition:
    """A token limit was reached: `max_completion_tokens` or `max_prompt_tokens`."""
    return _by_worker(
        Reason.TRUNCATED, RunStatus.INCOMPLETE, usage=dict(usage), incomplete_details={"reason": incomplete_reason}
    )


def fail(usage: Usage, code: str, message: str) -> Transition:
    """The run can't go on: `code` is server_error, rate_limit_exceeded or invalid_prompt."""
    return _by_worker(Reason.FAILED, RunStatus.FAILED, usage=dict(usage), last_error={"code": code, "message": message})


def acknowledge_cancel(usage: Usage) -> Transition:
    """The worker stopped because the client asked for it."""
    return Transition(
        Reason.CANCELLED, RunStatus.CANCELLED, _HELD, Holder.WORKER, Cancel.NEEDED, {"usage": dict(usage)}
    )


def expire(usage: Usage) -> Transition:
    """The worker stopped because time was up."""
    return _by_worker(Reason.EXPIRED, RunStatus.EXPIRED, usage=dict(usage))


def release() -> Transition:
    """The worker is leaving: the next one goes on at the next step. Costs no attempt."""
    return _by_worker(Reason.RELEASED, RunStatus.QUEUED, rung_at=None)


def resume() -> Transition:
    """The client submitted its tool outputs."""
    return Transition(
        Reason.OUTPUTS_SUBMITTED,
        RunStatus.QUEUED,
        frozenset({RunStatus.REQUIRES_ACTION}),
        Holder.ANYONE,
        Cancel.YIELDS,
        {"rung_at": Now.INSTANT},
    )


def cancel_waiting() -> Transition:
    """The client cancels a run that no worker holds."""
    return Transition(Reason.CANCELLED, RunStatus.CANCELLED, _WAITING, Holder.ANYONE, Cancel.INDIFFERENT)


def cancel_orphan() -> Transition:
    """A cancel was acknowledged, then the worker died before it could stop."""
    return Transition(Reason.CANCELLED, RunStatus.CANCELLED, _HELD, Holder.ANYONE, Cancel.NEEDED)


def expire_overdue() -> Transition:
    """Time was up while nobody worked on the run, or whoever did is gone."""
    return Transition(Reason.EXPIRED, RunStatus.EXPIRED, ACTIVE, Holder.ANYONE, Cancel.YIELDS)


def requeue_after_crash() -> Transition:
    """The lease ran out: its holder is dead. The run may be claimed again, through the same door."""
    return Transition(
        Reason.WORKER_LOST,
        RunStatus.QUEUED,
        _HELD,
        Holder.ANYONE,
        Cancel.YIELDS,
        {"attempts": Now.ONE_MORE, "rung_at": Now.INSTANT},
    )


def give_up() -> Transition:
    """The lease ran out once too often."""
    message = (
        f"The workers that executed this run died or froze, {OutOfAttempts.COUNT} times. It is not tried again. Where "
        "other runs complete, something about this one kills workers: their logs, and the run's history "
        "(?assistantd=true), say when and where."
    )
    return Transition(
        Reason.OUT_OF_ATTEMPTS,
        RunStatus.FAILED,
        _HELD,
        Holder.ANYONE,
        Cancel.YIELDS,
        {"attempts": Now.ONE_MORE, "last_error": OutOfAttempts(message)},
    )


def _by_worker(reason: Reason, to: RunStatus, **values: Any) -> Transition:
    return Transition(reason, to, _HELD, Holder.WORKER, Cancel.YIELDS, values)
