"""The registry, and what its metrics have in common."""

import threading

from prometheus_client import CollectorRegistry, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)  # process_…: processor time, memory, descriptors, start

SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds of buckets for what a machine does."""

LONG_S = (0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
"""The same for what waits for a model, or for a worker."""

OTHER = "other"


class Names:
    """Values of a label that aren't ours: the first so many are kept, whatever comes later is `other`."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def label(self, name: str) -> str:
        """What this name is called in a label."""
        if name in self._known:
            return name
        with self._lock:
            if len(self._known) >= self._at_most:
                return OTHER
            self._known.add(name)
        return name
