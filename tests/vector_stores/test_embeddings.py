"""Vectors of what was read: made once, whatever happens meanwhile, and searched."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from shared.audit.actor import command_line
from shared.errors import NotFound
from shared.files import commands as files
from shared.projects import keys
from shared.vector_stores import commands as stores
from shared.vector_stores.files import new_file
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.vector_stores.stage import Stage
from tests.vector_stores.vectors import CARS, FRUIT, found, passages, successor
from worker.deps import Deps
from worker.ingest import embed, sweep
from worker.ingest.executor import ingest


async def test_what_means_the_like_is_found(stage: Stage, deps: Deps) -> None:
    await stage.add(await stage.upload(CARS))
    await stage.add(await stage.upload(FRUIT))
    await ingest(deps)

    by_both = await found(stage, deps.searcher.spaces, "vehicle")
    by_words = await found(stage, None, "vehicle")

    assert by_both[0][0] == CARS
    assert by_words == []


async def test_each_part_of_a_text_is_embedded_once(stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings) -> None:
    """Chunks that overlap have the passages of what they share in common."""
    words = [f"w{number}" for number in range(600)]
    file_id = await stage.upload(" ".join(words))
    await stage.add(file_id, size=400, overlap=200)
    await ingest(deps)

    row = await stage.file(file_id)
    assert (row["status"], row["chunks_embedded"]) == ("completed", row["chunks"])
    assert row["passages"] == await passages(stage)
    told = " ".join(one for one in embeddings.texts if one != embed.PROBE)
    assert told.split() == words
    shared = await stage.database.all(text("SELECT FROM passages WHERE last_chunk > chunk"))
    assert shared
    made = [one for one in embeddings.texts if one != embed.PROBE]  # each of which costs a token, by this model's count
    counted = await stage.database.all(text("SELECT kind, subject, input_tokens, api_key_id FROM usage_facts"))
    assert sum(row["input_tokens"] for row in counted) == len(made)
    assert {(row["kind"], row["api_key_id"]) for row in counted} == {("embeddings", "")}
    assert await found(stage, deps.searcher.spaces, "w599", limit=1)


async def test_a_successor_goes_on_after_what_has_vectors(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "BATCH", 2)
    file_id = await stage.upload(" ".join(f"w{number}" for number in range(2000)))
    await stage.add(file_id, size=100)
    first = asyncio.create_task(ingest(deps))
    while len(embeddings.requests) < 4:
        embeddings.asked.clear()
        await embeddings.asked.wait()
    embeddings.gate.clear()
    await asyncio.wait_for(embeddings.asked.wait(), 10)
    known = (await stage.file(file_id))["chunks_embedded"]
    second = await successor(stage, deps)
    asked = len(embeddings.requests)
    embeddings.gate.set()

    await ingest(second)
    await first

    row = await stage.file(file_id)
    assert (row["status"], row["chunks_embedded"]) == ("completed", row["chunks"])
    assert known > 0
    pieces = {one for one in embeddings.texts if one != embed.PROBE}
    assert await passages(stage) == len(pieces)
    assert len(embeddings.requests) < asked + 1 + row["chunks"] - known  # none of the first ones again


@pytest.mark.parametrize("how", ["file", "from_store", "batch"])
async def test_of_a_file_that_goes_in_the_middle_nothing_is_left(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "BATCH", 1)
    file_id = await stage.upload("word " * 2000)
    await stage.add(file_id, size=100)
    reader = asyncio.create_task(ingest(deps))
    while len(embeddings.requests) < 4:
        embeddings.asked.clear()
        await embeddings.asked.wait()
    if how == "file":
        await files.delete(stage.database, command_line(), stage.store, stage.project_id, file_id)
    elif how == "from_store":
        gone = text("DELETE FROM vector_store_files WHERE id = :id")
        await stage.database.all(gone, {"id": file_id})
    else:
        await stage.database.all(text("UPDATE vector_stores SET expires_after_days = 1, expires_at = now()"))
        await sweep.sweep_files(deps)
    await reader
    await sweep.sweep_files(deps)
    await stage.remove_rest()

    assert await passages(stage) == 0
    assert await stage.chunks(file_id) == 0


async def test_a_model_that_is_away_is_waited_for(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "PAUSE", timedelta(milliseconds=20))
    file_id = await stage.upload(FRUIT)
    await stage.add(file_id)
    embeddings.away = True
    reader = asyncio.create_task(ingest(deps))
    while not embeddings.refusals:
        embeddings.asked.clear()
        await embeddings.asked.wait()
    assert (await stage.file(file_id))["status"] == "in_progress"
    embeddings.away = False
    await reader

    assert (await stage.file(file_id))["status"] == "completed"


async def test_a_model_that_stays_away_fails_the_file(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "PATIENCE", timedelta(0))
    embeddings.away = True
    file_id = await stage.upload(FRUIT)
    await stage.add(file_id)
    await ingest(deps)

    row = await stage.file(file_id)
    assert (row["status"], row["last_error"]["code"]) == ("failed", "server_error")
    assert "embedding model did not work for 10 minutes" in row["last_error"]["message"]


async def test_what_the_model_refuses_fails_and_says_so(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings
) -> None:
    embeddings.refused = "Plums"
    bad, good = await stage.upload(FRUIT), await stage.upload(CARS)
    await stage.add(bad)
    await stage.add(good)
    await ingest(deps)

    row = await stage.file(bad)
    assert (row["status"], row["last_error"]["message"]) == (
        "failed",
        "The server's embedding model answered with 400.",
    )
    assert (await stage.file(good))["status"] == "completed"


async def test_searches_go_on_while_the_model_is_away(stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    embeddings.away = True

    assert [hit for hit, _ in await found(stage, deps.searcher.spaces, "wheels")] == [CARS]


async def test_copied_files_are_found_in_their_own_store_alone(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings
) -> None:
    """Of the same bytes in another store there are the same vectors, made once."""
    other = await stores.create(stage.database, stage.project_id, {}, [], "english")
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    asked = len(embeddings.requests)
    await stage.add_to(other["id"], await stage.upload(CARS))
    await ingest(deps)

    assert len(embeddings.requests) == asked
    assert len(await found(stage, deps.searcher.spaces, "vehicle", other["id"])) == 1
    assert len(await found(stage, deps.searcher.spaces, "vehicle", other["id"], stage.store_id)) == 2
    scores = {score for _, score in await found(stage, deps.searcher.spaces, "vehicle", other["id"], stage.store_id)}
    assert len(scores) == 1
    counted = await stage.database.all(text("SELECT DISTINCT passages FROM vector_store_files"))
    assert counted == [{"passages": 1}]


async def test_two_tenants_with_the_same_bytes_never_see_each_other(stage: Stage, deps: Deps) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)

    await keys.create(stage.database, command_line(), "theirs")
    row = await stage.database.one(text("SELECT id FROM projects WHERE name = 'theirs'"))
    assert row is not None
    theirs = await stage.upload(CARS, project_id=row["id"])
    store = await stores.create(stage.database, row["id"], {}, [new_file(theirs, {}, 800, 0)], "english")
    await ingest(deps)

    hits = await deps.searcher.search(stage.database.within(row["id"]), row["id"], [store["id"]], ["vehicle"])

    assert [hit["file_id"] for hit in hits] == [theirs]
    assert len(await found(stage, deps.searcher.spaces, "vehicle")) == 1
    with pytest.raises(NotFound):
        await deps.searcher.search(stage.database.within(row["id"]), row["id"], [stage.store_id], ["vehicle"])


async def test_a_store_expires_while_somebody_keeps_vectors_of_its_file(stage: Stage) -> None:
    """Who has the file wants its chunks: whoever takes these away must have waited for the file before."""
    file_id = await stage.upload(FRUIT)
    await stage.add(file_id)
    stage.store.gate.set()
    await ingest(stage.deps)
    await stage.database.all(text("UPDATE vector_store_files SET status = 'in_progress', finished_at = NULL"))
    await stage.database.all(text("UPDATE vector_stores SET expires_after_days = 1, expires_at = now()"))
    async with stage.database.transaction(timedelta(seconds=30)) as worker:
        await worker.all(text("SELECT FROM vector_store_files WHERE id = :id FOR UPDATE"), {"id": file_id})
        sweeping = asyncio.create_task(sweep.sweep_files(stage.deps))
        waiting = text("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        while not await stage.database.all(waiting):  # noqa: ASYNC110 # this view alone tells that somebody waits
            await asyncio.sleep(0.01)
        await worker.all(text("SELECT FROM chunks FOR KEY SHARE"))
    await sweeping

    assert (await stage.file(file_id))["status"] == "cancelled"
    assert await stage.chunks(file_id) == 0
