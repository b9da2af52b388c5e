"""The second stage: vectors of what was read, batch by batch; and vectors made anew where the model is another one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from shared.crashpoints import crossing
from shared.database import Executor, Row, to_json
from shared.embeddings.client import Embedded, Embeddings, Refused, Unavailable, Vector
from shared.embeddings.spaces import Spaces
from shared.usage.facts import Used, plain
from shared.vector_stores import embedding
from worker.deps import Deps
from worker.ingest.document import Unreadable
from worker.ingest.windows import Window, Windows
from worker.ingest.write import PassedOn, write
from worker.runs.live import Held

log = structlog.get_logger(__name__)

PATIENCE = timedelta(minutes=10)  # with a model that is away
PAUSE = timedelta(seconds=1)  # before the second try; doubles ...
LONGEST_PAUSE = timedelta(seconds=15)  # ... up to this
PROBE = "How many dimensions has a vector?"
CHUNKS = 32  # that are taken from the database at once
BATCH = 32  # windows that are embedded and kept together, more or less: a chunk's stay together


class OtherModel(Exception):
    """The vectors have another length than those of before: there is another model under the same name."""


@dataclass(slots=True)
class Batch:
    """Windows of some chunks; `embedded` chunks of the file have vectors once these are kept."""

    embedded: int
    windows: list[Window] = field(default_factory=list[Window])


async def embed(deps: Deps, claimed: Row, held: Held) -> None:
    """Keep vectors of all chunks. Raises Unreadable, PassedOn.

    A crash leaves some of them; the next worker goes on after these. Without a model there is nothing to do.
    """
    spaces = deps.searcher.spaces
    if spaces is None:
        return
    model, keys = spaces.model, {"ingestion": claimed["ingestion"], "term": claimed["term"]}
    try:
        space, dimensions = await space_of(deps.database, spaces)
        begun = await write(deps.database, held, embedding.BEGIN, {**keys, "space": space})
        async for batch in batches(deps.database, claimed["ingestion"], begun["chunks_embedded"], model.window):
            made = await patiently(model, [window.text for window in batch.windows])
            kept = {"space": space, "embedded": batch.embedded, "passages": passages(batch, made.vectors, dimensions)}
            await write(deps.database, held, embedding.KEEP, {**keys, **kept, **cost(model, made)})
            crossing("file.partly_embedded")
        await write(deps.database, held, embedding.END, {**keys, "space": space})
    except Unavailable:
        raise Unreadable("server_error", "The server's embedding model did not work for 10 minutes.") from None
    except Refused as error:
        raise Unreadable("server_error", f"The server's embedding model {error}.") from None
    except OtherModel:
        spaces.dimensions = None
        raise PassedOn from None  # the lease runs out, and the next one begins with another space


async def space_of(db: Executor, spaces: Spaces) -> tuple[int, int]:
    """The number of the space that new vectors are in, and their dimensions. Raises Unavailable, Refused."""
    dimensions = spaces.dimensions
    if dimensions is None:
        (vector,) = (await patiently(spaces.model, [PROBE])).vectors
        dimensions = len(vector)
    return await spaces.begin(db, dimensions), dimensions


async def patiently(model: Embeddings, texts: Sequence[str]) -> Embedded:
    """The texts' vectors, however long the model is away, up to PATIENCE.

    Raises Unavailable after that, Refused.
    """
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + PATIENCE.total_seconds(), PAUSE
    while True:
        try:
            return await model.embed(texts)
        except Unavailable as error:
            if loop.time() > until:
                raise
            log.warning("embeddings.unavailable", error=str(error), pause_s=pause.total_seconds())
            await asyncio.sleep(pause.total_seconds())
            pause = min(pause * 2, LONGEST_PAUSE)


async def batches(db: Executor, ingestion: str, first: int, size: int) -> AsyncGenerator[Batch]:
    """The windows of a file's chunks, those of its `first` ones excepted, in windows of up to `size` tokens."""
    windows, batch, given = Windows(size), Batch(first), first
    async for chunk in _chunks(db, ingestion, first):
        if chunk["position"] <= first:
            windows.skip(chunk)
            continue
        for ready in await asyncio.to_thread(windows.take, chunk):
            batch.windows += ready
            batch.embedded += 1
            if len(batch.windows) >= BATCH:
                yield batch
                given = batch.embedded
                batch = Batch(given)
    for ready in windows.end():
        batch.windows += ready
        batch.embedded += 1
    if batch.embedded > given:  # blank ones have no windows, and are done as well
        yield batch


def cost(model: Embeddings, made: Embedded) -> dict[str, Any]:
    """What vectors cost, as a parameter of the statements that keep them."""
    return {
        "used": to_json(plain([Used("embeddings", model.model, made.requests, made.tokens)] if made.requests else []))
    }


def passages(batch: Batch, vectors: Sequence[Vector], dimensions: int) -> str:
    """Rows of their table, in JSON. Raises OtherModel if the vectors have not so many dimensions."""
    if any(len(vector) != dimensions for vector in vectors):
        raise OtherModel
    rows: list[dict[str, Any]] = [
        {
            "chunk": window.chunk,
            "number": window.number,
            "last_chunk": window.last_chunk,
            "embedding": vector,
        }
        for window, vector in zip(batch.windows, vectors, strict=True)
    ]
    return to_json(rows)


async def _chunks(db: Executor, ingestion: str, first: int) -> AsyncGenerator[Row]:
    """A file's chunks from the one at `first` on; never more than some in memory."""
    while True:
        rows = await db.all(embedding.CHUNKS, {"ingestion": ingestion, "first": first, "at_most": CHUNKS})
        for row in rows:
            yield row
        if len(rows) < CHUNKS:
            return
        first = rows[-1]["position"] + 1
