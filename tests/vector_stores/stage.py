"""Reading files on a stage: the real ingestion over a database of its own; what is read is held back, or told."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Executable, text

from shared import ids
from shared.database import Database, Row
from shared.files import commands as files
from shared.files.storage import LocalStore, StoreUnavailable
from shared.vector_stores import files as store_files
from shared.vector_stores import reading
from shared.vector_stores.files import new_file
from worker.deps import Deps
from worker.ingest import read
from worker.ingest.executor import ingest
from worker.ingest.protocol import Frame
from worker.ingest.slots import Slots
from worker.removal_sweep import remove_all, removing_of
from worker.runs.live import Held, Live

LEASE = timedelta(minutes=1)


class GatedStore(LocalStore):
    """Says when somebody begins to read, and lets nobody go on before it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reading: asyncio.Queue[str] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.away = False

    async def open(self, key: str) -> AsyncIterator[bytes]:
        self.reading.put_nowait(key)
        await self.gate.wait()
        if self.away:
            raise StoreUnavailable("away")
        async for chunk in super().open(key):
            yield chunk


@dataclass
class Stage:
    """A project's store in a database of the test's own, and workers that read its files."""

    deps: Deps
    store: GatedStore
    database: Database
    project_id: str
    store_id: str
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def upload(self, content: str = "Apples keep for months.", project_id: str | None = None) -> str:
        async def chunks() -> AsyncIterator[bytes]:
            yield content.encode()

        row = await files.upload(
            self.database,
            self.store,
            project_id or self.project_id,
            filename="a.txt",
            purpose="assistants",
            chunks=chunks(),
        )
        return row["id"]

    async def add(self, file_id: str, size: int = 800, overlap: int = 0) -> Row:
        return await self.add_to(self.store_id, file_id, size, overlap)

    async def add_to(self, store_id: str, file_id: str, size: int = 800, overlap: int = 0) -> Row:
        return await store_files.add(self.database, self.project_id, store_id, new_file(file_id, {}, size, overlap))

    async def file(self, file_id: str) -> Row:
        return await store_files.get(self.database, self.project_id, self.store_id, file_id)

    async def chunks(self, file_id: str) -> int:
        counting = text("SELECT count(*) AS n FROM chunks JOIN vector_store_files USING (ingestion) WHERE id = :id")
        row = await self.database.one(counting, {"id": file_id})
        return row["n"] if row else 0

    async def remove_rest(self) -> None:
        """What workers do in the background after something was deleted."""
        await remove_all(removing_of(self.deps))

    async def end_leases(self) -> None:
        ended = "SET lease_expires_at = now() - interval '1 second' WHERE lease_expires_at IS NOT NULL"
        await self.database.all(text(f"UPDATE vector_store_files {ended}"))

    def worker(self, store: GatedStore | None = None) -> Deps:
        """Another process, as far as the database can tell."""
        other = replace(self.deps, owner=ids.new("key"), ingesting=Live(LEASE), slots=Slots())
        return replace(other, store=store) if store else other


def told(*chunks: str) -> Any:
    """A reader that tells these chunks, two at a time."""

    @asynccontextmanager
    async def reading(*_: Any) -> AsyncIterator[AsyncIterator[Frame]]:
        yield frames()

    async def frames() -> AsyncIterator[Frame]:
        for first in range(0, len(chunks), 2):
            rows: list[Row] = [
                {
                    "position": n + 1,
                    "text": chunks[n],
                    "tokens": 1,
                    "begins": sum(map(len, chunks[:n])),
                    "ends": sum(map(len, chunks[: n + 1])),
                    "page": None,
                    "headings": [],
                    "pages": [],
                }
                for n in range(first, min(first + 2, len(chunks)))
            ]
            size = sum(map(len, chunks[: first + 2]))
            yield {
                "kind": "progress",
                "chunks": rows,
                "usage_bytes": size,
                "pages": None,
                "pages_read": 0,
                "pages_unread": 0,
            }
        yield {"kind": "done", "format": "text", "peak_bytes": 0}

    return reading


def defect(*_: Any) -> Any:
    raise ZeroDivisionError


async def halt(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> tuple["asyncio.Task[int]", str]:
    """A reader that stops between two batches, and its file; `stage.go_on` lets it continue."""
    between = asyncio.Event()
    file_id = await stage.upload("word " * 400)
    await stage.add(file_id, size=100)
    plain = read.write

    async def gated(database: Database, held: Held, statement: Executable, params: Mapping[str, Any]) -> Row:
        row = await plain(database, held, statement, params)
        if statement is reading.KEEP and not between.is_set():
            between.set()
            await stage.go_on.wait()
        return row

    monkeypatch.setattr(stage.deps.readers, "reading", told(*["word" * 100] * 5))
    monkeypatch.setattr(read, "write", gated)
    stage.store.gate.set()
    task = asyncio.create_task(ingest(stage.deps))
    await between.wait()
    return task, file_id
