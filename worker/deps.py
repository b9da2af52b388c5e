"""What a worker process holds on to."""

from dataclasses import dataclass, replace
from typing import Self

from shared.database import Database, Transactional
from shared.files.storage import BlobStore
from shared.limits.windows import Windows
from shared.queue import Doorbell
from shared.redis import Outbox
from shared.settings import Settings
from shared.usage.prices import PriceList
from shared.vector_stores.search import Searcher
from worker.ingest.children import Children
from worker.ingest.slots import Slots
from worker.models.client import ModelClient
from worker.runs.leftovers import Leftovers
from worker.runs.live import Live
from worker.runs.quota import Quota
from worker.sandbox.clients import SandboxClients


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that executing a run or reading a file takes; opened once a process, on the pool's loop."""

    settings: Settings
    owner: str
    system: Database  # for claims, and whatever else is done for all projects
    database: Transactional  # the same; while a run is executed or a file is read, as its project has it
    vital: Database  # a connection or two of their own for heartbeat and sweeper, however busy the others are
    outbox: Outbox
    windows: Windows
    doorbell: Doorbell
    model: ModelClient
    searcher: Searcher
    store: BlobStore
    sandbox: SandboxClients | None
    live: Live
    leftovers: Leftovers
    prices: PriceList
    quota: Quota
    ingesting: Live  # files that are being read, by ingestion
    slots: Slots
    readers: Children

    def within(self, project_id: str) -> Self:
        """The same for a run or a file of this project: nothing of others' can be read or written."""
        return replace(self, database=self.system.within(project_id))
