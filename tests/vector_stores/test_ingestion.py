"""Reading files under leases: real Postgres, real Redis, and a blob store that keeps readers waiting."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from shared.audit.actor import command_line
from shared.projects import keys
from shared.vector_stores import commands as stores
from shared.vector_stores import files as store_files
from shared.vector_stores.files import new_file
from tests.vector_stores.stage import GatedStore, Stage, defect, told
from worker.ingest import read, sweep
from worker.ingest.executor import ingest
from worker.ingest.slots import SLOTS
from worker.runs.heartbeat import beat


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
    for number in range(SLOTS + 1):
        await stage.add(await stage.upload(f"Apple {number} keeps for months."))
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
    mine = [await stage.upload(f"Apple {number} keeps for months.") for number in range(3)]
    for file_id in mine:
        await stage.add(file_id)
    await keys.create(stage.database, command_line(), "theirs")
    row = await stage.database.one(text("SELECT id FROM projects WHERE name = 'theirs'"))
    assert row is not None
    theirs = await stage.upload(project_id=row["id"])
    await stores.create(stage.database, row["id"], {}, [new_file(theirs, {}, 800, 0)], "english")

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
        await store_files.remove(stage.database, command_line(), stage.project_id, stage.store_id, file_id)
    aging = text("UPDATE vector_store_files_removed SET removed_at = now() - interval '25 hours' WHERE id = :id")
    await stage.database.all(aging, {"id": forgotten})

    await sweep.sweep_files(stage.deps)

    left = await stage.database.all(text("SELECT id FROM vector_store_files_removed"))
    assert left == [{"id": kept}]


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
