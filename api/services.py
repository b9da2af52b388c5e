"""What a process of the API holds on to, and how it begins and ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from api.auth import KeyRing
from api.catalog import Catalog
from api.expiry import expire_for_ever
from api.rewriting import Rewriter, rewriter_of
from api.streams import Streams
from shared.database import Database, Transactional
from shared.duties import must_not_end
from shared.files.storage import BlobStore
from shared.files.stores import store_of
from shared.limits.windows import Windows
from shared.metrics.process import measure_lag_for_ever, watch_pool
from shared.metrics.rows import RowsCollector
from shared.queue import Doorbell
from shared.redis import Outbox, Sender, connect
from shared.settings import Settings
from shared.usage.prices import PriceList
from shared.vault.contents import Contents
from shared.vault.databases import database_of
from shared.vector_stores.search import Searcher

if TYPE_CHECKING:
    import redis.asyncio


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a handler may need; handlers get the parts they name (`api/dependencies.py`)."""

    settings: Settings
    database: Database
    executor: Transactional  # what handlers execute statements with: see `within`; or the request's transaction
    redis: "redis.asyncio.Redis"
    outbox: Sender
    doorbell: Doorbell
    streams: Streams
    keys: KeyRing
    windows: Windows
    store: BlobStore
    catalog: Catalog
    searcher: Searcher
    rewriter: Rewriter | None  # for `rewrite_query`, if there is a model for it
    prices: PriceList

    @property
    def contents(self) -> Contents:
        """What content is sealed and opened by."""
        return self.database.contents

    def within(self, project_id: str) -> Self:
        """The same for a request of this project: its handler can't read or write what is others'."""
        return replace(self, executor=self.database.within(project_id))


@asynccontextmanager
async def running(settings: Settings, prices: PriceList) -> AsyncGenerator[Services]:
    """Open everything, and close it in reverse. Postgres, Redis and bucket may be away to begin with."""
    database = database_of(settings)
    redis_client = connect(settings.redis_url, socket_timeout=5)
    outbox = Outbox(settings.redis_url)
    windows = Windows(settings.redis_url)
    streams = Streams(database, redis_client, settings.redis_url)
    catalog = Catalog(settings)
    store = store_of(settings, database)
    searcher, rewriter = Searcher.of(settings), rewriter_of(settings)
    streams.start()
    doorbell = Doorbell(outbox)
    watch_pool("main", database)
    rows = RowsCollector(database, asyncio.get_running_loop())
    rows.watch()
    duties = [
        asyncio.create_task(expire_for_ever(database, outbox, doorbell)),
        asyncio.create_task(measure_lag_for_ever()),
    ]
    for duty in duties:
        duty.add_done_callback(must_not_end)
    try:
        yield Services(
            settings=settings,
            database=database,
            executor=database,
            redis=redis_client,
            outbox=outbox,
            doorbell=doorbell,
            streams=streams,
            keys=KeyRing(database),
            windows=windows,
            store=store,
            catalog=catalog,
            searcher=searcher,
            rewriter=rewriter,
            prices=prices,
        )
    finally:
        rows.stop()
        for duty in duties:
            duty.cancel()
        await asyncio.gather(*duties, return_exceptions=True)
        await streams.stop()
        await catalog.close()
        await searcher.close()
        if rewriter is not None:
            await rewriter.close()
        await store.close()
        await outbox.close()
        await windows.close()
        await redis_client.aclose()
        await database.close()
