"""How a process is: its event loop, its connections."""

import asyncio
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics.registry import REGISTRY, SHORT_S

EVERY_S = 0.5

LAG = Histogram(
    "assistantd_event_loop_lag_seconds",
    "How much later than asked for the event loop came back, asked twice a second.",
    buckets=SHORT_S,
    registry=REGISTRY,
)
CONNECTIONS = Gauge(
    "assistantd_database_connections_in_use", "Connections that somebody holds.", ["pool"], registry=REGISTRY
)
POOL_SIZE = Gauge("assistantd_database_pool_size", "Connections that there may be.", ["pool"], registry=REGISTRY)
WAITING = Gauge("assistantd_database_waiting", "Who waits for a connection.", ["pool"], registry=REGISTRY)
DROPPED = Counter(
    "assistantd_redis_commands_dropped",
    "Events and doorbells that were given up because Redis was away.",
    registry=REGISTRY,
)


class Pool(Protocol):
    """A database's connections."""

    pool_size: int

    @property
    def in_use(self) -> int:
        """Those that somebody holds."""
        ...

    @property
    def waiting(self) -> int:
        """Who waits for one."""
        ...


async def measure_lag_for_ever() -> None:
    """Ask the loop to come back, and see when it does."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        LAG.observe(max(0.0, loop.time() - due))


def watch_pool(name: str, pool: Pool) -> None:
    """Show this pool from now on; it is looked at when somebody asks."""
    CONNECTIONS.labels(name).set_function(lambda: pool.in_use)
    WAITING.labels(name).set_function(lambda: pool.waiting)
    POOL_SIZE.labels(name).set(pool.pool_size)
