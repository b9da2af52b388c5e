"""The domain: what is true whoever asks.

A run's path through these packages: `wire` parses a request into values, `assistants`, `threads` and `runs` keep
them as rows, `queue` rings a worker with the run's id, `events` carries what the worker does to whoever listens,
`wire` renders rows as OpenAI objects again.

Placement: what both sides need, or must hold whoever writes, belongs here; what speaks HTTP to `api`; what takes
time, money or a model to `worker`. Nothing here imports either.
"""

import sys
from typing import Any, cast

METRICS_SDK = "opentelemetry.sdk.metrics"

# redis-py loads it wherever it finds it, 0.2 s and 2 MB, and we want none of its metrics: it doesn't find it. Whoever
# traces takes this back (`shared/tracing/begin.py`).
cast("dict[str, Any]", sys.modules).setdefault(METRICS_SDK, None)
