"""What the rows say of runs and files, asked when Prometheus asks: one statement, and not again for some seconds."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from shared.database import Database, Row
from shared.metrics.registry import REGISTRY
from shared.metrics.statements import STATE

FRESH_S = 5.0
WITHIN_S = 2.0

_RUNS = {
    "queued": "queued",
    "waiting": "behind",
    "in_progress": "in_progress",
    "requires_action": "requires_action",
}
_FIGURES = {
    "assistantd_runs_lease_over": ("lease_over", "Runs whose worker is gone and that no sweeper has queued again yet."),
    "assistantd_runs_overdue": ("overdue", "Runs whose time is up and that have not ended yet."),
    "assistantd_runs_oldest_queued_seconds": ("oldest_queued", "For how long the oldest run has waited for a worker."),
    "assistantd_files_waiting": ("files_waiting", "Files of vector stores that wait to be read."),
    "assistantd_files_reading": ("files_held", "Files that workers are reading."),
    "assistantd_files_oldest_waiting_seconds": ("oldest_file", "For how long the oldest of them has waited."),
}


class RowsCollector(Collector):
    """Gauges from the database; without them, and with `assistantd_database_up` at 0, where it doesn't answer in time.

    Collects in any thread, and asks on `loop`. However many ask at once, one of them does.
    """

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._loop = loop
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._state: Row | None = None

    def describe(self) -> Iterator[Metric]:
        """All that may come, each once, without asking the database."""
        yield from _families(dict.fromkeys((*_RUNS.values(), *(key for key, _ in _FIGURES.values())), 0))

    def collect(self) -> Iterator[Metric]:
        """What the database says now, or said some seconds ago."""
        with self._lock:
            if time.monotonic() - self._asked_at > FRESH_S:
                self._state, self._asked_at = self._ask(), time.monotonic()
            return _families(self._state)

    def _ask(self) -> Row | None:
        asking = self._database.one(STATE)
        try:
            answer = asyncio.run_coroutine_threadsafe(asking, self._loop)
        except RuntimeError:  # the loop is closed: the process is about to end
            asking.close()
            return None
        try:
            return answer.result(WITHIN_S)
        except (SQLAlchemyError, OSError, TimeoutError):
            answer.cancel()
            return None

    def watch(self) -> None:
        """Be asked from now on."""
        REGISTRY.register(self)

    def stop(self) -> None:
        """Be asked no more."""
        REGISTRY.unregister(self)


def _families(state: Row | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "assistantd_database_up", "Whether the database answered in time.", value=0 if state is None else 1
    )
    if state is None:
        return
    active = GaugeMetricFamily(
        "assistantd_runs_active",
        "Runs that have not ended; waiting: queued behind another run of their thread.",
        labels=["status"],
    )
    for status, key in _RUNS.items():
        active.add_metric([status], state[key])
    yield active
    for name, (key, told) in _FIGURES.items():
        value = state[key]
        yield GaugeMetricFamily(name, told, value=value.total_seconds() if isinstance(value, timedelta) else value or 0)
