"""A file is read stage by stage: what was reached stays, what was begun begins anew, what was read is copied."""

import asyncio

import pytest
from sqlalchemy import text

from shared.audit.actor import command_line
from shared.files import commands as files
from shared.projects import keys
from shared.vector_stores import commands as stores
from shared.vector_stores.files import new_file
from tests.vector_stores.stage import Stage, defect, halt, told
from worker.ingest import sweep
from worker.ingest.executor import ingest


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

    await files.delete(stage.database, command_line(), stage.store, stage.project_id, file_id)
    stage.go_on.set()
    await reader
    await stage.remove_rest()

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
    monkeypatch.setattr(stage.deps.readers, "reading", defect)
    await stage.add(second, size=100)

    await ingest(stage.deps)
    copied = await stage.file(second)
    await files.delete(stage.database, command_line(), stage.store, stage.project_id, first)
    await stage.remove_rest()

    assert (copied["status"], copied["chunks"]) == ("completed", 5)
    assert copied["usage_bytes"] == 2000
    assert "".join(await texts(stage, second)) == "word " * 400
    left = await stage.database.all(text("SELECT ingestion FROM chunks"))
    assert [row["ingestion"] for row in left] == [copied["ingestion"]] * 5


async def test_the_same_bytes_at_the_same_moment_are_read_once(stage: Stage) -> None:
    """The second worker finds nothing to do; who reads the first file goes on with the other one, and copies it."""
    first, second = await stage.upload(), await stage.upload()
    await stage.add(first)
    await stage.add(second)
    reader = asyncio.create_task(ingest(stage.deps))
    await stage.store.reading.get()

    await ingest(stage.worker())
    waiting = await stage.file(second)
    stage.store.gate.set()
    await reader

    assert (waiting["status"], waiting["lease_owner"]) == ("in_progress", None)
    assert [(await stage.file(one))["status"] for one in (first, second)] == ["completed", "completed"]
    assert stage.store.reading.empty()


@pytest.mark.parametrize("other", ["project", "size", "status"])
async def test_what_is_not_copied(stage: Stage, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    """What another project has read, what was cut otherwise, what is not whole."""
    stage.store.gate.set()
    await stage.add(await stage.upload("word " * 400), size=100)
    await ingest(stage.deps)
    monkeypatch.setattr(stage.deps.readers, "reading", told("read anew"))
    if other == "project":
        await keys.create(stage.database, command_line(), "theirs")
        row = await stage.database.one(text("SELECT id FROM projects WHERE name = 'theirs'"))
        assert row is not None
        second = await stage.upload("word " * 400, project_id=row["id"])
        await stores.create(stage.database, row["id"], {}, [new_file(second, {}, 100, 0)], "english")
    else:
        second = await stage.upload("word " * 400)
        if other == "status":
            cancelled = "UPDATE vector_store_files SET status = 'cancelled'"
            await stage.database.all(text(cancelled))
        await stage.add(second, size=200 if other == "size" else 100)

    await ingest(stage.deps)

    assert await texts(stage, second) == ["read anew"]
