"""What a process does for as long as it lives."""

import os
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    import asyncio

log = structlog.get_logger(__name__)


def must_not_end(task: "asyncio.Task[None]") -> None:
    """A duty that dies of a defect takes the process with it: one without it would look alive and be of no use."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("process.duty_died", exc_info=error)
        os._exit(os.EX_SOFTWARE)
