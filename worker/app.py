"""The Celery application of a worker process: configuration, two tasks, and the pool's signals."""

import warnings
from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.exceptions import CPendingDeprecationWarning
from celery.signals import setup_logging, worker_process_init, worker_ready

from shared import crashpoints
from shared.logs import configure_logging
from shared.metrics.worker import CAPACITY
from shared.queue import EXECUTE_RUN, INGEST_FILES, INGEST_QUEUE, RUNS_QUEUE, celery_app
from shared.readiness import notify_ready
from shared.settings import Settings, SettingsError
from worker.ingest.executor import ingest
from worker.pool import AsyncTask, TaskPool
from worker.rings import Ring, Rings, result
from worker.runs.executor import execute
from worker.services import WorkerServices


def main(
    settings: Settings,
    *,
    queues: Sequence[str] = (RUNS_QUEUE, INGEST_QUEUE),
    concurrency: int | None = None,
    name: str = "worker",
) -> None:
    """Work until told to stop: SIGTERM drains, a second one or SIGQUIT ends at once. Raises SettingsError."""
    configure_logging(settings)  # Celery has things to say before it asks for logging
    app = create_app(settings)
    arguments = ["--quiet", "worker", "--without-gossip", "--without-mingle"]
    arguments += ["--queues", ",".join(queues), "--hostname", f"{name}@%h"]
    slots = concurrency or settings.worker_concurrency
    CAPACITY.set(slots)
    arguments += ["--concurrency", str(slots)]
    arguments += ["--loglevel", settings.log_level]
    app.worker_main(arguments)


def create_app(settings: Settings) -> Celery:
    """An application that executes runs with these settings. Raises SettingsError if no model is configured."""
    if settings.upstream is None:
        raise SettingsError("ASSISTANTD_MODEL_BASE_URL is not set (an OpenAI-compatible endpoint, with its /v1)")
    crashpoints.arm(settings.crash_at)
    app = celery_app(settings)
    app.conf.worker_pool = "worker.pool:TaskPool"
    app.conf.worker_drain_seconds = settings.drain_timeout.total_seconds()
    services = WorkerServices(settings)
    rings = Rings(lambda: services.deps)

    @app.task(name=EXECUTE_RUN, base=AsyncTask, Request=Ring)
    async def execute_run(run_id: str) -> str:
        return result(await execute(run_id, services.deps, rings.show))

    @app.task(name=INGEST_FILES, base=AsyncTask, Request=Ring)
    async def ingest_files(_: str) -> str:
        return f"{await ingest(services.deps)} files"

    @setup_logging.connect(weak=False)
    def _logging(**_: Any) -> None:
        configure_logging(settings)

    @worker_process_init.connect(weak=False)
    def _start(sender: TaskPool, **_: Any) -> None:
        sender.close_hooks.append(services.close)
        sender.drain_hooks.append(services.drain)
        services.start_on(sender.loop)
        rings.start_on(sender)

    @worker_ready.connect(weak=False)
    def _ready(**_: Any) -> None:
        # At each lost connection Celery explains a setting that we have set; its own filters come up to here.
        warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
        notify_ready(settings)

    return app
