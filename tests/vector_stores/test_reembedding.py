"""Vectors made anew when the model is another one, and the spaces that they are in."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from shared.vector_stores.search import Searcher
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.vector_stores.stage import Stage
from tests.vector_stores.vectors import CARS, FRUIT, found, passages, spaces, successor
from worker.deps import Deps
from worker.ingest import embed, reembed
from worker.ingest.executor import ingest
from worker.ingest.reembed import reembed_one


async def test_another_model_makes_all_vectors_anew(stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings) -> None:
    """Meanwhile files are found by their words, and afterwards as before; nothing of the former model is left."""
    file_id = await stage.upload(CARS)
    await stage.add(file_id)
    await ingest(deps)
    other = spaces(stage, embeddings, embedding_model="second")
    newer = replace(deps, searcher=Searcher(other))
    meanwhile = await found(stage, other, "wheels"), await found(stage, other, "vehicle")

    assert await reembed_one(newer, other)
    assert not await reembed_one(newer, other)

    assert [hit for hit, _ in meanwhile[0]] == [CARS]
    assert meanwhile[1] == []
    assert (await found(stage, other, "vehicle"))[0][0] == CARS
    left = await stage.database.all(text("SELECT DISTINCT space FROM passages"))
    file = await stage.file(file_id)
    assert left == [{"space": file["space"]}]
    assert file["passages"] == await passages(stage)
    await other.model.close()


async def test_files_from_before_there_was_a_model_get_vectors(stage: Stage, deps: Deps) -> None:
    stage.store.gate.set()
    await stage.add(await stage.upload(CARS))
    await ingest(stage.deps)
    assert deps.searcher.spaces is not None
    before = await found(stage, deps.searcher.spaces, "vehicle")

    assert await reembed_one(deps, deps.searcher.spaces)

    assert before == []
    assert (await found(stage, deps.searcher.spaces, "vehicle"))[0][0] == CARS


async def test_a_file_that_a_new_model_refuses_is_put_off(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings
) -> None:
    await stage.add(await stage.upload(CARS))
    await stage.add(await stage.upload(FRUIT))
    await ingest(deps)
    embeddings.refused = "automobile"
    other = spaces(stage, embeddings, embedding_model="second")
    newer = replace(deps, searcher=Searcher(other))

    assert await reembed_one(newer, other)
    assert await reembed_one(newer, other)
    assert not await reembed_one(newer, other)

    spaces_of_files = await stage.database.all(text("SELECT space FROM vector_store_files ORDER BY space"))
    assert [row["space"] for row in spaces_of_files] == [1, 2]
    await other.model.close()


async def test_processes_that_begin_a_space_at_once_get_the_same(stage: Stage, embeddings: ScriptedEmbeddings) -> None:
    for dimensions in range(100, 110):
        beginning = (spaces(stage, embeddings).begin(stage.database, dimensions) for _ in range(5))
        assert len(set(await asyncio.gather(*beginning))) == 1


async def test_a_model_that_refuses_everything_ends_no_duty(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key would otherwise take the worker with it, and all its runs."""
    monkeypatch.setattr(reembed, "LOOK_S", 0.01)
    await stage.add(await stage.upload(CARS))
    await ingest(stage.deps)
    embeddings.refused = embed.PROBE
    duty = asyncio.create_task(reembed.reembed_for_ever(deps))
    while len(embeddings.requests) < 2:
        embeddings.asked.clear()
        await embeddings.asked.wait()
    embeddings.refused = None
    while (row := await stage.database.one(text("SELECT space FROM vector_store_files"))) != {"space": 1}:
        assert row is not None
        assert not duty.done()
    duty.cancel()


async def test_two_generations_of_workers_do_not_undo_each_others_work(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings
) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    other, former = spaces(stage, embeddings, embedding_model="second"), deps.searcher.spaces
    assert former is not None

    made = [(await reembed_one(deps, other), await reembed_one(deps, former)) for _ in range(3)]

    assert made == [(True, False), (False, False), (False, False)]
    await other.model.close()


async def test_who_has_lost_a_file_while_embedding_it_anew_leaves_it_alone(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model's vectors came and took the place of those that were kept already."""
    monkeypatch.setattr(embed, "BATCH", 1)
    file_id = await stage.upload(" ".join(f"w{number}" for number in range(200)))
    await stage.add(file_id, size=100)
    await ingest(stage.deps)
    second, third = (spaces(stage, embeddings, embedding_model=name) for name in ("second", "third"))
    asked = len(embeddings.requests)
    slow = asyncio.create_task(reembed_one(deps, second))
    while len(embeddings.requests) < asked + 3:
        embeddings.asked.clear()
        await embeddings.asked.wait()
    embeddings.gate.clear()
    await stage.database.all(text("UPDATE vector_store_files SET embedding_until = now() - interval '1 second'"))
    embeddings.gate.set()
    assert await reembed_one(stage.worker(), third)
    await slow

    row = await stage.file(file_id)
    kept = await stage.database.one(text("SELECT min(space) AS first, max(space) AS last, count(*) FROM passages"))
    assert kept == {"first": row["space"], "last": row["space"], "count": kept and kept["count"]}
    assert kept is not None
    assert kept["count"] >= row["chunks"]
    for made in (second, third):
        await made.model.close()


async def test_a_model_that_becomes_another_one_under_the_same_name_has_a_space_of_its_own(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings
) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    embeddings.dimensions = 300
    file_id = await stage.upload(FRUIT)
    await stage.add(file_id)
    await ingest(deps)
    await ingest(await successor(stage, deps))

    assert [(await stage.file(file_id))[name] for name in ("status", "space")] == ["completed", 2]
    assert deps.searcher.spaces is not None
    assert await reembed_one(deps, deps.searcher.spaces)
    assert (await found(stage, deps.searcher.spaces, "vehicle"))[0][0] == CARS
