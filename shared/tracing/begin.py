"""Whether there are traces at all."""

import atexit
import sys

from shared import METRICS_SDK
from shared.settings import telemetry
from shared.tracing.spans import STATE


def begin(part: str) -> None:
    """Trace what this process does, where OTEL_* ask for it; `part` is what it is. Raises SettingsError."""
    asked = telemetry()
    if asked.wants_traces:
        sys.modules.pop(METRICS_SDK, None)
        from shared.tracing import live  # noqa: PLC0415 # the SDK takes a quarter of a second: only where it is wanted

        live.begin(part, content=asked.wants_content)
        atexit.register(end)


def end() -> None:
    """Send what is left, for two seconds at most. The interpreter's end does it too, where a process comes to that."""
    if STATE.tracing is not None:
        STATE.tracing.end()
