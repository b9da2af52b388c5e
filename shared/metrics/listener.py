"""`/metrics` on a port of its own, without a key, answered by a thread: also while the event loop is blocked."""

from typing import Protocol

from prometheus_client import start_http_server

from shared.metrics.registry import REGISTRY
from shared.settings import SettingsError


class Measured(Protocol):
    """Settings of a process that may be asked for its metrics."""

    @property
    def metrics_host(self) -> str:
        """The address to listen on."""
        ...

    @property
    def metrics_port(self) -> int | None:
        """The port; None for not at all."""
        ...


def listen(settings: Measured) -> None:
    """Answer from now until the process ends, if a port is set. Raises SettingsError where it can't be had."""
    if settings.metrics_port is None:
        return
    try:
        start_http_server(settings.metrics_port, settings.metrics_host, REGISTRY)
    except OSError as error:
        where = f"{settings.metrics_host}:{settings.metrics_port}"
        raise SettingsError(f"metrics can't be served on {where} ({error.strerror or error})") from error
