"""The code interpreter's service."""

from collections.abc import Callable, Mapping

from prometheus_client import Counter, Gauge

from shared.metrics.registry import REGISTRY

SESSIONS = Gauge(
    "assistantd_sandbox_sessions", "Sessions that are alive; busy: of these, in a call.", ["state"], registry=REGISTRY
)
CAPACITY = Gauge("assistantd_sandbox_capacity", "Sessions that there may be.", registry=REGISTRY)
ENDED = Counter("assistantd_sandbox_sessions_ended", "Sessions that ended, and why.", ["reason"], registry=REGISTRY)
CALLS = Counter("assistantd_sandbox_calls", "Calls that ended, and how.", ["status"], registry=REGISTRY)
REFUSED = Counter(
    "assistantd_sandbox_refused", "Requests that were refused: full, lost, bad.", ["code"], registry=REGISTRY
)

STATES = {"alive": "sessions", "busy": "busy", "warm": "warm"}


def watch(counts: Callable[[], Mapping[str, int]]) -> None:
    """Show how full the service is; it is looked at when somebody asks."""

    def count(key: str) -> Callable[[], float]:
        return lambda: counts()[key]

    for state, key in STATES.items():
        SESSIONS.labels(state).set_function(count(key))
    CAPACITY.set_function(count("capacity"))
