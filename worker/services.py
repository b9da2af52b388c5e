"""How a worker process begins and ends on its pool's loop."""

import asyncio
import os
import secrets
import socket

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.database import Database
from shared.duties import must_not_end
from shared.files.stores import store_of
from shared.limits.windows import Windows
from shared.metrics import worker as metrics
from shared.metrics.process import measure_lag_for_ever, watch_pool
from shared.queue import Doorbell
from shared.redis import Outbox
from shared.settings import Settings
from shared.usage.prices import PriceList
from shared.vault.databases import database_of, require_keys
from shared.vault.masters import MastersAway
from shared.vector_stores.search import Searcher
from worker import sweep
from worker.deps import Deps
from worker.ingest.children import Children
from worker.ingest.indexes import index_for_ever
from worker.ingest.reembed import reembed_for_ever
from worker.ingest.slots import Slots
from worker.models.client import ModelClient
from worker.removal_sweep import remove_for_ever
from worker.runs import cancels, heartbeat
from worker.runs.leftovers import Leftovers
from worker.runs.live import Live
from worker.runs.quota import Quota
from worker.sandbox.clients import SandboxClients
from worker.store_sweep import sweep_store_for_ever
from worker.usage_sweep import keep_accounts_for_ever
from worker.watchdog import Watchdog

log = structlog.get_logger(__name__)

START_WITHIN_S = 30


class WorkerServices:
    """Opened when the loop runs, not with the first task: an idle worker has to sweep for its dead neighbours."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prices = PriceList.load(settings.prices)
        self._deps: Deps | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._watchdog = Watchdog(settings.lease_duration)

    @property
    def deps(self) -> Deps:
        """What tasks work with. Raises RuntimeError before `start`."""
        if self._deps is None:
            raise RuntimeError("the worker's services have not been started")
        return self._deps

    async def start(self) -> None:
        """Open everything and begin the duties that go on for ever. Raises NoMasterKey if it could open nothing that
        others have sealed: every run that it claimed would have waited for another worker.
        """
        settings = self._settings
        database = database_of(settings)
        try:
            await require_keys(database)
        except (SQLAlchemyError, OSError, MastersAway) as error:  # they may be away to begin with
            log.warning("worker.keys_not_looked_at", error=type(error).__name__)
        outbox = Outbox(settings.redis_url)
        self._deps = Deps(
            settings=settings,
            owner=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}",
            system=database,
            database=database,
            vital=Database(settings.database_url, pool_size=2),
            outbox=outbox,
            windows=Windows(settings.redis_url),
            doorbell=Doorbell(outbox),
            model=ModelClient(settings),
            searcher=Searcher.of(settings),
            store=store_of(settings, database),
            sandbox=_sandbox(settings),
            live=Live(settings.lease_duration, claims=_claims(settings)),
            leftovers=Leftovers(),
            prices=self._prices,
            quota=Quota(),
            ingesting=Live(settings.lease_duration),
            slots=Slots(),
            readers=Children(),
        )
        self._deps.live.limited = True  # until the first sweep knows
        duties = (
            heartbeat.beat_for_ever,
            cancels.hear_for_ever,
            sweep.sweep_for_ever,
            sweep_store_for_ever,
            keep_accounts_for_ever,
            reembed_for_ever,
            index_for_ever,
            remove_for_ever,
        )
        self._tasks = [asyncio.create_task(duty(self._deps)) for duty in duties]
        self._tasks.append(asyncio.create_task(measure_lag_for_ever()))
        self._show(self._deps)
        for task in self._tasks:
            task.add_done_callback(must_not_end)
        self._watchdog.start(asyncio.get_running_loop())

    @staticmethod
    async def _leave_accounts(deps: Deps) -> None:
        """What was used and not written goes with the process: a last try."""
        try:
            await deps.leftovers.write(deps.system)
        except (SQLAlchemyError, OSError) as error:
            log.warning("usage.lost", error=type(error).__name__)

    def _show(self, deps: Deps) -> None:
        """To whoever asks for metrics."""
        watch_pool("main", deps.system)
        watch_pool("vital", deps.vital)
        metrics.HELD.set_function(lambda: len(deps.live))
        metrics.FILES_HELD.set_function(lambda: len(deps.ingesting))

    def start_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start from another thread, and end the process if that fails: Celery would go on without us."""
        try:
            asyncio.run_coroutine_threadsafe(self.start(), loop).result(START_WITHIN_S)
        except Exception:
            log.critical("worker.could_not_start", exc_info=True)
            os._exit(os.EX_SOFTWARE)

    def drain(self) -> None:
        """The process is to leave: what is under way may end, nothing new begins."""
        self.deps.slots.close()

    async def close(self) -> None:
        """End the duties and close everything, the outbox after its last event."""
        self._watchdog.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._leave_accounts(self.deps)
        await self.deps.readers.close()
        await self.deps.model.close()
        await self.deps.searcher.close()
        if self.deps.sandbox is not None:
            await self.deps.sandbox.close()
        await self.deps.store.close()
        await self.deps.outbox.close()
        await self.deps.windows.close()
        await self.deps.vital.close()
        await self.deps.system.close()


def _sandbox(settings: Settings) -> SandboxClients | None:
    if settings.sandbox_url is None or settings.sandbox_secret is None:
        return None
    secret = settings.sandbox_secret.get_secret_value()
    return SandboxClients(settings.sandbox_url.split(","), secret, settings.ca_file)


def _claims(settings: Settings) -> int:
    """How many claims may be under way: those under a limit wait for each other anyway, with a connection in hand."""
    half = max(1, settings.database_pool // 2)
    return half if settings.project_concurrency is None else min(2, half)
