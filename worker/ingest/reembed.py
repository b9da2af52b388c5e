"""Vectors made anew, one file after the other, where the embedding model is another one than it was.

Meanwhile the file is found by its words. A crash leaves vectors that are not looked for, or that are found already;
whoever comes next makes them all again, and keeps each once.
"""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.database import Row
from shared.embeddings.client import Refused, Unavailable
from shared.embeddings.spaces import Spaces
from shared.vector_stores import embedding
from worker.deps import Deps
from worker.ingest.embed import OtherModel, batches, cost, passages, space_of

log = structlog.get_logger(__name__)

LOOK_S = 10.0  # whether there are such files
LEASE = timedelta(minutes=10)  # of a batch
REFUSED = timedelta(days=1)  # until a file is tried again that the model refuses
REST = timedelta(hours=1)  # that vectors are let be which were just made anew


async def reembed_for_ever(deps: Deps) -> None:
    """Make stale vectors anew, beside what else this process reads, until cancelled."""
    spaces = deps.searcher.spaces
    while spaces is not None:
        try:
            while await reembed_one(deps, spaces):
                pass
        except OtherModel:
            spaces.dimensions = None
        except (Unavailable, Refused, SQLAlchemyError, OSError) as error:
            log.warning("reembed.failed", error=type(error).__name__)
        await asyncio.sleep(LOOK_S)


async def reembed_one(deps: Deps, spaces: Spaces) -> bool:
    """Make one file's vectors anew; False if there is none to be made, or no slot is free.

    Raises Unavailable; Refused if the model answers nothing at all; OtherModel.
    """
    if not deps.slots.take():
        return False
    try:
        space, dimensions = await space_of(deps.system, spaces)
        claimed = await deps.system.one(embedding.CLAIM_STALE, {"space": space, "lease": LEASE})
        if claimed is None:
            return False
        deps = deps.within(claimed["project_id"])
        try:
            await _reembed(deps, spaces, claimed, space, dimensions)
        except Refused as error:
            log.warning("file.not_reembedded", file_id=claimed["id"], error=str(error))
            put_off = {"space": space, "lease": REFUSED, "passages": "[]", "used": "[]"}
            await deps.database.all(embedding.KEEP_ANEW, {**_held(claimed), **put_off})
        return True
    finally:
        deps.slots.give_back()


async def _reembed(deps: Deps, spaces: Spaces, claimed: Row, space: int, dimensions: int) -> None:
    """`claimed` is told with every batch until when the file is ours. Raises Refused, Unavailable, OtherModel."""
    async for batch in batches(deps.database, claimed["ingestion"], 0, spaces.model.window):
        made = await spaces.model.embed([window.text for window in batch.windows])
        kept = {"space": space, "lease": LEASE, "passages": passages(batch, made.vectors, dimensions)}
        params = {**_held(claimed), **kept, **cost(spaces.model, made)}
        held = await deps.database.one(embedding.KEEP_ANEW, params)
        if held is None:
            return  # it is gone, or somebody else has it
        claimed.update(held)
    await deps.database.all(embedding.SWITCH, {**_held(claimed), "space": space, "rest": REST})
    log.info("file.reembedded", file_id=claimed["id"], vector_store_id=claimed["vector_store_id"])


def _held(claimed: Row) -> Row:
    return {name: claimed[name] for name in ("ingestion", "until")}
