"""Every legal move of a file in a vector store; all of them begin at `in_progress`.

As with runs (`shared/runs/transitions.py`) a move is a value that names the columns which it changes, and
`statements.py` turns it into the one guarded UPDATE that may carry it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from shared.vector_stores.status import FileStatus


class Reason(StrEnum):
    """Why a file moved: apart from the status, because several moves end in one status."""

    CLAIMED = "claimed"
    RELEASED = "released"
    WORKER_LOST = "worker_lost"
    INDEXED = "indexed"
    UNREADABLE = "unreadable"
    OUT_OF_ATTEMPTS = "out_of_attempts"
    BATCH_CANCELLED = "batch_cancelled"
    STORE_EXPIRED = "store_expired"


class Holder(StrEnum):
    """Who may carry out a move. Whoever takes a file over from somebody else begins a new term."""

    WORKER = "worker"
    """The worker whose term it is."""

    CLAIMANT = "claimant"
    """A worker, on a file that waits."""

    SWEEPER = "sweeper"
    """Anyone, once the lease has run out."""

    CLIENT = "client"
    """Anyone, at any time: the worker that holds the file finds its term over, and stops."""


ONE_MORE = object()
"""The value of a column that counts up by one."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One move to `to`, setting `values` besides what the status itself implies.

    A `timedelta` among the values means that long from now, a dict is stored as JSON.
    """

    reason: Reason
    to: FileStatus
    holder: Holder
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


def claim(owner: str, lease: timedelta) -> Transition:
    """A worker takes a waiting file."""
    values = {"lease_owner": owner, "lease_expires_at": lease}
    return Transition(Reason.CLAIMED, FileStatus.IN_PROGRESS, Holder.CLAIMANT, values)


def release() -> Transition:
    """The worker is leaving: the next one goes on with the stage. Costs no attempt."""
    return Transition(Reason.RELEASED, FileStatus.IN_PROGRESS, Holder.WORKER)


def complete() -> Transition:
    """The file's chunks are there."""
    return Transition(Reason.INDEXED, FileStatus.COMPLETED, Holder.WORKER)


def fail(code: str, message: str) -> Transition:
    """The file can't be read: `code` is unsupported_file, invalid_file or server_error."""
    error = {"code": code, "message": message}
    return Transition(Reason.UNREADABLE, FileStatus.FAILED, Holder.WORKER, {"last_error": error})


def requeue_after_crash() -> Transition:
    """The lease ran out: its holder is dead. The file may be claimed again, through the same door."""
    return Transition(Reason.WORKER_LOST, FileStatus.IN_PROGRESS, Holder.SWEEPER, {"attempts": ONE_MORE})


def give_up(message: str) -> Transition:
    """The lease ran out once too often."""
    error = {"code": "server_error", "message": message}
    values = {"attempts": ONE_MORE, "last_error": error}
    return Transition(Reason.OUT_OF_ATTEMPTS, FileStatus.FAILED, Holder.SWEEPER, values)


def cancel(reason: Reason) -> Transition:
    """Nobody wants the file read any more: BATCH_CANCELLED or STORE_EXPIRED."""
    return Transition(reason, FileStatus.CANCELLED, Holder.CLIENT)
