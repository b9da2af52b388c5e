"""A worker whose event loop is blocked holds a thousand runs and renews none of their leases: it has to go.

A thread of its own asks the loop for a sign of life. Where none comes for as long as a lease lasts, every run has been
or will be taken over anyway; the thread writes down where everybody stands, and ends the process. Whoever supervises it
starts another.
"""

import asyncio
import faulthandler
import os
import sys
import threading
from datetime import timedelta

import structlog

log = structlog.get_logger(__name__)


class Watchdog:
    """Watches one loop, from `start` to `stop`."""

    def __init__(self, patience: timedelta) -> None:
        self._patience_s = patience.total_seconds()
        self._stopped = threading.Event()
        self._alive = threading.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch, from a thread that never holds up the end of the process."""
        threading.Thread(target=self._watch, args=(loop,), name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """The loop is about to end: it owes no more signs."""
        self._stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stopped.wait(self._patience_s / 10):
            self._alive.clear()
            try:
                loop.call_soon_threadsafe(self._alive.set)
            except RuntimeError:  # the loop is closed
                return
            if not self._alive.wait(self._patience_s) and not self._stopped.is_set():
                log.critical("watchdog.loop_blocked", seconds=self._patience_s)
                faulthandler.dump_traceback(file=sys.stderr)
                os._exit(os.EX_SOFTWARE)
