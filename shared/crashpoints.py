"""Named places at which a test lets a process die: between a commit and what follows it.

In production they are a comparison with None. `ASSISTANTD_CRASH_AT` names one; a process that comes by it dies at once,
as if the machine had been switched off under it.
"""

import os
import signal
from typing import Literal, get_args

Point = Literal[
    "run.created",  # API: committed, not rung for, not answered
    "run.rung",  # API: ring and first events queued, not answered
    "outputs.submitted",  # API: committed, not rung for
    "cancel.requested",  # API: committed, the worker not told
    "upload.joined",  # API: the file's bytes are stored, its row is not
    "upload.completed",  # API: committed, not answered
    "run.claimed",  # worker: committed, nothing done yet
    "answer.heard",  # worker: the model has said everything, nothing is recorded
    "calls.recorded",  # worker: calls of our tools are recorded, none is carried out
    "outputs.recorded",  # worker: what they returned is recorded, the model not asked again
    "run.settled",  # worker: committed, nobody told
    "run.announced",  # worker: last events queued, room for others not made
    "run.requeued",  # sweeper: committed, not rung for
    "file.claimed",  # worker: committed, nothing read yet
    "file.partly_read",  # worker: some chunks committed, more are to come
    "file.read",  # worker: all chunks committed, the file is not completed
    "file.partly_embedded",  # worker: some vectors committed, more may be to come
    "file.settled",  # worker: committed, nothing else to do
    "run.promoted",  # sweeper or worker: committed, not rung for
]

POINTS: tuple[Point, ...] = get_args(Point)

_armed: str | None = None


def arm(name: str | None) -> None:
    """Die at this point; None, as always but in tests, at none."""
    global _armed  # noqa: PLW0603 # one process, one death
    _armed = name


def crossing(point: Point) -> None:
    """The process is at this point."""
    if _armed == point:
        os.kill(os.getpid(), signal.SIGKILL)
