"""The states of a file in a vector store: pure, and the only list of them.

in_progress ──▶ completed | failed | cancelled
"""

from enum import StrEnum


class FileStatus(StrEnum):
    """What becomes of a file in a store, who moves it there, and what a crash leaves."""

    IN_PROGRESS = "in_progress"
    """Waiting for a worker, or held by one under a lease. If that worker dies the lease runs out and the sweeper lets
    another one claim it; what stage it had reached is kept."""

    COMPLETED = "completed"
    """Its chunks are there and are searched. Final."""

    FAILED = "failed"
    """It could not be read, or workers died over it; `last_error` says which. Final."""

    CANCELLED = "cancelled"
    """Its batch was cancelled, or its store expired, before it was read. Final."""


class Stage(StrEnum):
    """How far a file in progress has come, and where the next worker begins if this one dies."""

    WAITING = "waiting"
    """Nothing has been read."""

    READING = "reading"
    """Some of its chunks are there. Whoever claims it next removes them and begins anew."""

    READ = "read"
    """All of its chunks are there; it is not read again."""


WAITS_FOR_WORKER = "status = 'in_progress' AND lease_expires_at IS NULL"
"""In SQL: files that could be claimed."""

HELD = "lease_expires_at IS NOT NULL"
"""In SQL: files that a worker is reading, or died over."""

LEFT_OVER = "status IN ('failed', 'cancelled') AND chunks > 0"
"""In SQL: files of which there will be nothing to search, and whose chunks are still there."""
