"""A system whose processes answer Prometheus."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.metrics.scrape import value
from tests.system import Process, System, until


@dataclass
class Measured(System):
    """Its API process and its worker answer on ports of their own."""

    api_port: int = 0
    worker_port: int = 0

    def start(self) -> None:
        """As any system."""
        started = (
            self.spawn_api(metrics_port=str(self.api_port)),
            self.spawn_worker(metrics_port=str(self.worker_port)),
        )
        for process in started:
            process.wait_until_ready()

    @property
    def worker(self) -> Process:
        """The newest worker."""
        return next(one for one in reversed(self.processes) if one.log.name.startswith("worker"))

    def of_api(self, name: str, **labels: str) -> float:
        """What the API says of this sample."""
        return value(self.api_port, name, **labels)

    def of_worker(self, name: str, **labels: str) -> float:
        """What the worker says of it."""
        return value(self.worker_port, name, **labels)


async def grows(count: Callable[[], float], before: float, by: float = 1) -> None:
    """Return once it is larger by so much; a count follows the fact that it counts by a moment."""
    await until(lambda: count() >= before + by)
    assert count() == before + by
