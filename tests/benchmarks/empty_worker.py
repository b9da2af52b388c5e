"""`python -m tests.benchmarks.empty_worker COUNT`: our pool and our queue with a task that does nothing.

Says READY=1 as the real worker does, and prints `done` when it has executed COUNT of them.
"""

import sys
from typing import Any

from celery.signals import worker_ready

from shared.queue import EXECUTE_RUN, celery_app
from shared.readiness import notify_ready
from shared.settings import load
from worker.pool import AsyncTask

if __name__ == "__main__":
    left = int(sys.argv[1])
    settings = load()
    app = celery_app(settings)
    app.conf.worker_pool = "worker.pool:TaskPool"

    @app.task(name=EXECUTE_RUN, base=AsyncTask)
    async def nothing(_: str) -> None:
        """Only counts."""
        global left  # noqa: PLW0603 - one loop, one counter
        left -= 1
        if left == 0:
            print("done", flush=True)

    @worker_ready.connect(weak=False)
    def _ready(**_: Any) -> None:
        notify_ready(settings)

    app.worker_main(["--quiet", "worker", "--without-gossip", "--without-mingle", "--task-events", "-c", "1000"])
