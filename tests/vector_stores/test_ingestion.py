"""Reading files under leases: real Postgres, real Redis, and a blob store that keeps readers waiting."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Executable, text

from infra.embedded.postgres import Postgres
from shared import ids
from shared.database import Database, Row
from shared.files import commands as files
from shared.files.storage import LocalStore, StoreUnavailable
from shared.projects import keys
from shared.queue import Doorbell
from shared.redis import Outbox
from shared.settings import Settings
from shared.vector_stores import commands as stores
from shared.vector_stores import files as store_files
from shared.vector_stores import reading
from shared.vector_stores.files import new_file
from tests.system import create_database, redis_apart
from worker.deps import Deps
from worker.ingest import read, sweep
from worker.ingest.children import Children
from worker.ingest.executor import ingest
from worker.ingest.protocol import Frame
from worker.ingest.slots import SLOTS, Slots
from worker.models.client import ModelClient
from worker.runs.heartbeat import beat
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

    async def add(self, file_id: str, size: int = 800) -> Row:
        return await store_files.add(self.database, self.project_id, self.store_id, new_file(file_id, {}, size, 0))

    async def file(self, file_id: str) -> Row:
        return await store_files.get(self.database, self.project_id, self.store_id, file_id)

    async def chunks(self, file_id: str) -> int:
        counting = text("SELECT count(*) AS n FROM chunks JOIN vector_store_files USING (ingestion) WHERE id = :id")
        row = await self.database.one(counting, {"id": file_id})
        return row["n"] if row else 0

    async def end_leases(self) -> None:
        await self.database.all(text("UPDATE vector_store_files SET lease_expires_at = now() - interval '1 second'"))

    def worker(self, store: GatedStore | None = None) -> Deps:
        """Another process, as far as the database can tell."""
        other = replace(self.deps, owner=ids.new("key"), ingesting=Live(LEASE), slots=Slots())
        return replace(other, sandbox=None, store=store) if store else other


@pytest.fixture(scope="module")
def apart(redis_url: str) -> str:
    """A Redis that no worker listens to."""
    return redis_apart(redis_url)


@pytest.fixture
async def stage(postgres: Postgres, apart: str, tmp_path: Path) -> AsyncIterator[Stage]:
    url = create_database(postgres.url, ids.new("key").lower())
    settings = Settings(database_url=url, redis_url=apart, lease_duration=LEASE, model_base_url="http://127.0.0.1:1/v1")
    store, outbox, model = GatedStore(tmp_path), Outbox(apart), ModelClient(settings)
    async with Database(url, pool_size=5) as database:
        await keys.create(database, "mine")
        project = await database.one(text("SELECT id FROM projects"))
        assert project is not None
        made = await stores.create(database, project["id"], {}, [])
        deps = Deps(
            settings=settings,
            owner="first",
            database=database,
            vital=database,
            outbox=outbox,
            doorbell=Doorbell(outbox),
            model=model,
            sandbox=None,
            store=store,
            live=Live(LEASE),
            ingesting=Live(LEASE),
            slots=Slots(),
            readers=Children(),
        )
        yield Stage(deps, store, database, project["id"], made["id"])
        await deps.readers.close()
    await model.close()
    await outbox.close()


async def test_who_lost_its_lease_writes_nothing(stage: Stage, tmp_path: Path) -> None:
    """Also while the next one is at it: what it would write is what the next one will."""
    file_id = await stage.upload()
    await stage.add(file_id)
    late = asyncio.create_task(ingest(stage.deps))
    assert await stage.store.reading.get() == file_id
    await stage.end_leases()
    await sweep.sweep_files(stage.deps)
    requeued = await stage.file(file_id)
    second = GatedStore(tmp_path)
    successor = asyncio.create_task(ingest(stage.worker(second)))
    await second.reading.get()
    held = await stage.file(file_id)

    stage.store.gate.set()
    await late
    unmoved = await stage.file(file_id)
    second.gate.set()
    await successor

    assert (requeued["status"], requeued["lease_owner"], requeued["attempts"]) == ("in_progress", None, 1)
    assert unmoved == held
    assert ((await stage.file(file_id))["status"], await stage.chunks(file_id)) == ("completed", 1)


async def test_the_heartbeat_renews_what_is_read(stage: Stage) -> None:
    file_id = await stage.upload()
    await stage.add(file_id)
    reader = asyncio.create_task(ingest(stage.deps))
    await stage.store.reading.get()
    await stage.end_leases()

    await beat(stage.deps)
    await sweep.sweep_files(stage.deps)
    stage.store.gate.set()
    await reader

    assert (await stage.file(file_id))["status"] == "completed"
    assert (await stage.file(file_id))["attempts"] == 0


async def test_a_cancelled_batch_stops_its_reader(stage: Stage) -> None:
    """The reader finds out by its heartbeat, and goes on with the next file."""
    first, second = await stage.upload(), await stage.upload()
    batch = await store_files.add_batch(stage.database, stage.project_id, stage.store_id, [new_file(first, {}, 800, 0)])
    reader = asyncio.create_task(ingest(stage.deps))
    assert await stage.store.reading.get() == first
    await stage.add(second)

    cancelled = await store_files.cancel_batch(stage.database, stage.project_id, stage.store_id, batch["id"])
    await beat(stage.deps)
    assert await stage.store.reading.get() == second
    stage.store.gate.set()
    await reader

    assert (cancelled["counts"]["cancelled"], cancelled["counts"]["in_progress"]) == (1, 0)
    assert ((await stage.file(first))["status"], await stage.chunks(first)) == ("cancelled", 0)
    assert (await stage.file(second))["status"] == "completed"


async def test_a_file_put_in_again_forgets_its_former_reader(stage: Stage, tmp_path: Path) -> None:
    """The former reading has the same term as the new one: what tells them apart is the ingestion."""
    file_id = await stage.upload("word " * 400)
    await stage.add(file_id, size=800)
    former = asyncio.create_task(ingest(stage.deps))
    await stage.store.reading.get()
    await stage.add(file_id, size=100)
    second = GatedStore(tmp_path)
    reader = asyncio.create_task(ingest(stage.worker(second)))
    await second.reading.get()
    held = await stage.file(file_id)

    stage.store.gate.set()
    await former
    unmoved = await stage.file(file_id)
    second.gate.set()
    await reader

    done = await stage.file(file_id)
    assert (held["term"], unmoved) == (1, held)
    assert (done["status"], done["max_chunk_size_tokens"]) == ("completed", 100)
    assert await stage.chunks(file_id) == 5


async def test_a_leaving_process_gives_its_file_back(stage: Stage) -> None:
    file_id = await stage.upload()
    await stage.add(file_id)
    reader = asyncio.create_task(ingest(stage.deps))
    await stage.store.reading.get()

    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader

    given_back = await stage.file(file_id)
    assert (given_back["status"], given_back["reason"], given_back["attempts"]) == ("in_progress", "released", 0)
    assert given_back["lease_owner"] is None
    assert stage.deps.slots.take()


async def test_a_draining_process_takes_no_further_file(stage: Stage) -> None:
    first, second = await stage.upload(), await stage.upload()
    await stage.add(first)
    await stage.add(second)
    reader = asyncio.create_task(ingest(stage.deps))
    await stage.store.reading.get()

    stage.deps.slots.close()
    stage.store.gate.set()
    await reader
    await ingest(stage.deps)

    assert (await stage.file(first))["status"] == "completed"
    assert (await stage.file(second))["lease_owner"] is None


async def test_a_file_that_kills_its_readers_fails(stage: Stage) -> None:
    file_id = await stage.upload()
    await stage.add(file_id)
    dead: list[Any] = []
    for _ in range(sweep.MAX_ATTEMPTS):
        dead.append(asyncio.create_task(ingest(stage.worker())))
        await stage.store.reading.get()
        await stage.end_leases()
        await sweep.sweep_files(stage.deps)

    failed = await stage.file(file_id)
    stage.store.gate.set()
    await asyncio.gather(*dead)

    assert (failed["status"], failed["reason"]) == ("failed", "out_of_attempts")
    assert failed["last_error"] == {
        "code": "server_error",
        "message": "The workers that read this file died 3 times. It is not tried again.",
    }
    assert await stage.file(file_id) == failed
    assert await stage.chunks(file_id) == 0


async def test_slots_are_few_and_rings_beyond_them_are_dropped(stage: Stage) -> None:
    for _ in range(SLOTS + 1):
        await stage.add(await stage.upload())
    readers = [asyncio.create_task(ingest(stage.deps)) for _ in range(SLOTS)]
    for _ in readers:
        await stage.store.reading.get()

    await ingest(stage.deps)  # comes back at once

    assert stage.store.reading.empty()
    stage.store.gate.set()
    await asyncio.gather(*readers)
    counted = await stores.get(stage.database, stage.project_id, stage.store_id)
    assert counted["counts"]["completed"] == SLOTS + 1


async def test_turns_go_round_the_projects(stage: Stage) -> None:
    """A project that waits with one file doesn't wait for all of another's."""
    mine = [await stage.upload() for _ in range(3)]
    for file_id in mine:
        await stage.add(file_id)
    await keys.create(stage.database, "theirs")
    row = await stage.database.one(text("SELECT id FROM projects WHERE name = 'theirs'"))
    assert row is not None
    theirs = await stage.upload(project_id=row["id"])
    await stores.create(stage.database, row["id"], {}, [new_file(theirs, {}, 800, 0)])

    readers = [asyncio.create_task(ingest(stage.deps)) for _ in range(2)]
    reading = {await stage.store.reading.get() for _ in readers}
    stage.store.gate.set()
    await asyncio.gather(*readers)

    assert reading == {mine[0], theirs}


async def test_a_file_whose_bytes_are_missing_fails(stage: Stage) -> None:
    file_id = await stage.upload()
    await stage.add(file_id)
    await stage.store.delete(file_id)
    stage.store.gate.set()

    await ingest(stage.deps)

    failed = await stage.file(file_id)
    assert (failed["status"], failed["last_error"]["code"]) == ("failed", "server_error")


async def test_a_file_whose_store_stays_away_fails_and_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "STORE_PATIENCE", timedelta(0))
    file_id = await stage.upload()
    await stage.add(file_id)
    stage.store.gate.set()
    stage.store.away = True

    await ingest(stage.deps)

    failed = await stage.file(file_id)
    assert (failed["status"], failed["last_error"]["code"]) == ("failed", "server_error")
    assert "file storage" in failed["last_error"]["message"]


async def test_places_are_forgotten_after_a_day(stage: Stage) -> None:
    kept, forgotten = await stage.upload(), await stage.upload()
    for file_id in (kept, forgotten):
        await stage.add(file_id)
        await store_files.remove(stage.database, stage.project_id, stage.store_id, file_id)
    aging = text("UPDATE vector_store_files_removed SET removed_at = now() - interval '25 hours' WHERE id = :id")
    await stage.database.all(aging, {"id": forgotten})

    await sweep.sweep_files(stage.deps)

    left = await stage.database.all(text("SELECT id FROM vector_store_files_removed"))
    assert left == [{"id": kept}]


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
                    "begins": n,
                    "ends": n,
                    "page": None,
                    "headings": [],
                    "pages": [],
                }
                for n in range(first, min(first + 2, len(chunks)))
            ]
            size = sum(map(len, chunks[: first + 2]))
            yield {"kind": "progress", "chunks": rows, "usage_bytes": size, "pages": None, "pages_read": 0}
        yield {"kind": "done", "format": "text", "peak_bytes": 0}

    return reading


def defect(*_: Any) -> Any:
    raise ZeroDivisionError


async def test_what_the_database_wont_have(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    file_id = await stage.upload()
    await stage.add(file_id)
    stage.store.gate.set()
    monkeypatch.setattr(stage.deps.readers, "reading", told("good", "good", "no text has a \0 in it"))

    await ingest(stage.deps)
    await sweep.sweep_files(stage.deps)

    failed = await stage.file(file_id)
    assert (failed["status"], failed["last_error"]["code"]) == ("failed", "server_error")
    assert "could not be stored" in failed["last_error"]["message"]
    assert (failed["chunks"], failed["usage_bytes"], await stage.chunks(file_id)) == (0, 0, 0)


async def test_a_defect_of_ours_fails_the_file(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    file_id = await stage.upload()
    await stage.add(file_id)
    stage.store.gate.set()
    monkeypatch.setattr(stage.deps.readers, "reading", defect)

    await ingest(stage.deps)

    failed = await stage.file(file_id)
    assert (failed["status"], failed["last_error"]["code"]) == ("failed", "server_error")
    assert file_id in failed["last_error"]["message"]


async def test_a_database_that_is_away_for_a_moment(stage: Stage) -> None:
    """The commit may have happened or not: tried again, it has happened once."""
    file_id = await stage.upload()
    await stage.add(file_id)
    reader = asyncio.create_task(ingest(stage.deps))
    await stage.store.reading.get()
    with psycopg.connect(stage.deps.settings.database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    stage.store.gate.set()
    await reader

    assert (await stage.file(file_id))["status"] == "completed"
    assert await stage.chunks(file_id) == 1


async def test_a_file_that_is_put_in_while_it_is_written(stage: Stage) -> None:
    """Whatever overtakes what: in the end it is read once, as it was asked for last."""
    stage.store.gate.set()
    file_id = await stage.upload("word " * 400)
    stop = asyncio.Event()

    async def read_on() -> None:
        worker = stage.worker()
        while not stop.is_set():
            await ingest(worker)

    readers = [asyncio.create_task(read_on()) for _ in range(2)]
    for size in [100, 200, 400, 800] * 10:
        await stage.add(file_id, size=size)
    stop.set()
    await asyncio.gather(*readers)
    await ingest(stage.deps)

    done = await stage.file(file_id)
    assert (done["status"], done["max_chunk_size_tokens"], await stage.chunks(file_id)) == ("completed", 800, 1)
    left = await stage.database.one(text("SELECT count(*) AS n FROM chunks"))
    assert left == {"n": 1}


async def halt(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> tuple["asyncio.Task[None]", str]:
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


async def test_a_successor_begins_the_stage_anew(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks neither missing nor doubled, also where the former reader wakes up in between."""
    late, file_id = await halt(stage, monkeypatch)
    await stage.end_leases()
    await sweep.sweep_files(stage.deps)
    partly = await stage.file(file_id)

    await ingest(stage.worker())
    done = await stage.file(file_id)
    stage.go_on.set()
    await late

    assert (partly["stage"], partly["chunks"]) == ("reading", 2)
    assert (done["status"], done["stage"], done["chunks"], done["usage_bytes"]) == ("completed", "read", 5, 2000)
    assert await stage.file(file_id) == done
    assert await stage.chunks(file_id) == 5


async def test_of_a_file_cancelled_halfway_nothing_is_left(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, file_id = await halt(stage, monkeypatch)
    await stage.database.all(text("UPDATE vector_stores SET expires_after_days = 1, expires_at = now()"))

    await sweep.sweep_files(stage.deps)  # the store expires
    stage.go_on.set()
    await reader
    await sweep.sweep_files(stage.deps)

    left = await stage.file(file_id)
    assert (left["status"], left["chunks"], left["usage_bytes"]) == ("cancelled", 0, 0)
    assert await stage.chunks(file_id) == 0


async def test_chunks_of_a_cancelled_batch_go_with_the_next_sweep(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, file_id = await halt(stage, monkeypatch)
    await stage.database.all(
        text(
            "UPDATE vector_store_files SET status = 'cancelled', finished_at = now(),"
            " lease_owner = NULL, lease_expires_at = NULL, term = term + 1"
        )
    )
    stage.go_on.set()
    await reader
    kept = await stage.chunks(file_id)

    await sweep.sweep_files(stage.deps)

    left = await stage.file(file_id)
    assert (kept, left["chunks"], left["usage_bytes"], await stage.chunks(file_id)) == (2, 0, 0, 0)


async def test_a_file_removed_halfway_leaves_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, file_id = await halt(stage, monkeypatch)

    await files.delete(stage.database, stage.store, stage.project_id, file_id)
    stage.go_on.set()
    await reader

    left = await stage.database.one(text("SELECT count(*) AS n FROM chunks"))
    assert left == {"n": 0}


async def test_what_is_read_is_not_read_again(stage: Stage) -> None:
    """A worker died between the stages: the next one doesn't need the bytes."""
    file_id = await stage.upload()
    await stage.add(file_id)
    stage.store.gate.set()
    await ingest(stage.deps)
    await stage.database.all(text("UPDATE vector_store_files SET status = 'in_progress', finished_at = NULL"))
    await stage.store.delete(file_id)

    await ingest(stage.worker())

    assert ((await stage.file(file_id))["status"], await stage.chunks(file_id)) == ("completed", 1)


async def texts(stage: Stage, file_id: str) -> list[str]:
    reading_them = text("SELECT text FROM chunks JOIN vector_store_files USING (ingestion) WHERE id = :id")
    return [row["text"] for row in await stage.database.all(reading_them, {"id": file_id})]


async def test_the_same_bytes_are_read_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under another id; what goes with the one is not the other's."""
    stage.store.gate.set()
    first, second = await stage.upload("word " * 400), await stage.upload("word " * 400)
    await stage.add(first, size=100)
    await ingest(stage.deps)
    embed = text("UPDATE chunks SET embedding = CAST(:vector AS halfvec)")
    await stage.database.all(embed, {"vector": "[1,2]"})
    await stage.database.all(text("UPDATE vector_store_files SET chunks_embedded = chunks"))
    monkeypatch.setattr(stage.deps.readers, "reading", defect)
    await stage.add(second, size=100)

    await ingest(stage.deps)
    copied = await stage.file(second)
    await files.delete(stage.database, stage.store, stage.project_id, first)

    assert (copied["status"], copied["chunks"], copied["chunks_embedded"]) == ("completed", 5, 5)
    assert copied["usage_bytes"] == 2000
    assert "".join(await texts(stage, second)) == "word " * 400
    left = await stage.database.all(text("SELECT CAST(embedding AS text) AS embedding, ingestion FROM chunks"))
    assert [(row["embedding"], row["ingestion"]) for row in left] == [("[1,2]", copied["ingestion"])] * 5


@pytest.mark.parametrize("other", ["project", "size", "status"])
async def test_what_is_not_copied(stage: Stage, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    """What another project has read, what was cut otherwise, what is not whole."""
    stage.store.gate.set()
    await stage.add(await stage.upload("word " * 400), size=100)
    await ingest(stage.deps)
    monkeypatch.setattr(stage.deps.readers, "reading", told("read anew"))
    if other == "project":
        await keys.create(stage.database, "theirs")
        row = await stage.database.one(text("SELECT id FROM projects WHERE name = 'theirs'"))
        assert row is not None
        second = await stage.upload("word " * 400, project_id=row["id"])
        await stores.create(stage.database, row["id"], {}, [new_file(second, {}, 100, 0)])
    else:
        second = await stage.upload("word " * 400)
        if other == "status":
            cancelled = "UPDATE vector_store_files SET status = 'cancelled'"
            await stage.database.all(text(cancelled))
        await stage.add(second, size=200 if other == "size" else 100)

    await ingest(stage.deps)

    assert await texts(stage, second) == ["read anew"]
