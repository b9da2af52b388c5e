"""Vectors of what was read: made once, whatever happens meanwhile, and made anew when the model is another one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import TextClause, text

from shared.embeddings.client import Embeddings
from shared.embeddings.spaces import Spaces
from shared.errors import NotFound
from shared.files import commands as files
from shared.projects import keys
from shared.settings import Settings
from shared.vector_stores import commands as stores
from shared.vector_stores import ranking, search
from shared.vector_stores.files import new_file
from shared.vector_stores.search import Searcher
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.vector_stores.stage import Stage, told
from worker.deps import Deps
from worker.ingest import embed, reembed, sweep
from worker.ingest.executor import ingest
from worker.ingest.reembed import reembed_one

FRUIT = "Apples keep for months in a cellar. Pears are eaten at once. Plums are dried. "
CARS = "The automobile has four wheels. "


@pytest.fixture
async def model() -> AsyncIterator[ScriptedEmbeddings]:
    scripted = ScriptedEmbeddings("automobile car vehicle", "apples fruit")
    await scripted.start()
    yield scripted
    await scripted.stop()


def spaces(stage: Stage, model: ScriptedEmbeddings, **more: Any) -> Spaces:
    own = {"embedding_base_url": model.base_url, "embedding_model": "first", "embedding_window": 50}
    return Spaces(Embeddings(Settings.model_validate({**stage.deps.settings.model_dump(), **own, **more})))


@pytest.fixture
async def deps(stage: Stage, model: ScriptedEmbeddings) -> AsyncIterator[Deps]:
    stage.store.gate.set()
    made = spaces(stage, model)
    yield replace(stage.deps, searcher=Searcher(made))
    await made.model.close()


async def found(
    stage: Stage, spaces: Spaces | None, query: str, *store_ids: str, **more: Any
) -> list[tuple[str, float]]:
    rows = await Searcher(spaces).search(
        stage.database, stage.project_id, store_ids or [stage.store_id], [query], **more
    )
    return [(row["text"], row["score"]) for row in rows]


async def passages(stage: Stage) -> int:
    row = await stage.database.one(text("SELECT count(*) AS n FROM passages"))
    return row["n"] if row else 0


async def successor(stage: Stage, deps: Deps) -> Deps:
    """The worker that takes over from one that died."""
    await stage.end_leases()
    await sweep.sweep_files(deps)
    return replace(stage.worker(), searcher=deps.searcher)


async def test_what_means_the_like_is_found(stage: Stage, deps: Deps) -> None:
    await stage.add(await stage.upload(CARS))
    await stage.add(await stage.upload(FRUIT))
    await ingest(deps)

    by_both = await found(stage, deps.searcher.spaces, "vehicle")
    by_words = await found(stage, None, "vehicle")

    assert by_both[0][0] == CARS
    assert by_words == []


async def test_a_large_store_is_searched_by_index_with_the_same_result(
    stage: Stage, deps: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[str] = []
    for number in range(40):
        await stage.add(await stage.upload(f"{FRUIT} {number}"))
        theirs = new_file(await stage.upload(f"{CARS} {number}"), {}, 800, 0)
        others.append((await stores.create(stage.database, stage.project_id, {}, [theirs], "english"))["id"])
    await ingest(deps)
    for where in ([stage.store_id], others[:1], [stage.store_id, *others]):
        exact = await found(stage, deps.searcher.spaces, "what fruit is dried?", *where)
        monkeypatch.setattr(ranking, "EACH_UP_TO", 0)
        indexed = await found(stage, deps.searcher.spaces, "what fruit is dried?", *where)
        monkeypatch.undo()

        assert [score for _, score in indexed] == pytest.approx([score for _, score in exact])
    plan = "EXPLAIN SELECT * FROM passages WHERE space = 1 ORDER BY embedding::halfvec(544) <=> (SELECT embedding FROM "
    plan += "passages LIMIT 1)::halfvec(544) LIMIT 5"
    explained = await stage.database.all(text(plan.replace("::", "\\:\\:")))
    assert any("passages_near_1" in row["QUERY PLAN"] for row in explained)


async def test_of_a_large_store_a_few_wanted_files_are_looked_at_one_by_one(
    stage: Stage, deps: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index would be asked for what is near, and hardly any of that is wanted."""
    file_ids = [await stage.upload(f"{CARS} {number}") for number in range(8)]
    for file_id in file_ids:
        await stage.add(file_id)
    await ingest(deps)
    one = text("""UPDATE vector_store_files SET attributes = '{"mine": true}' WHERE id = :id""")
    await stage.database.all(one, {"id": file_ids[3]})
    monkeypatch.setattr(ranking, "EACH_UP_TO", 4)
    ways: list[ranking.Vectors] = []
    plain = ranking.search

    def search(how: ranking.Vectors) -> TextClause:
        ways.append(how)
        return plain(how)

    monkeypatch.setattr(ranking, "search", search)

    mine = {"type": "eq", "key": "mine", "value": True}
    assert len(await found(stage, deps.searcher.spaces, "vehicle", filters=mine)) == 1
    assert len(await found(stage, deps.searcher.spaces, "vehicle")) == 8
    assert ways == [ranking.Vectors.EACH, ranking.Vectors.INDEXED]


async def test_each_part_of_a_text_is_embedded_once(stage: Stage, deps: Deps, model: ScriptedEmbeddings) -> None:
    """Chunks that overlap have the passages of what they share in common."""
    words = [f"w{number}" for number in range(600)]
    file_id = await stage.upload(" ".join(words))
    await stage.add(file_id, size=400, overlap=200)
    await ingest(deps)

    row = await stage.file(file_id)
    assert (row["status"], row["chunks_embedded"]) == ("completed", row["chunks"])
    told = " ".join(one for one in model.texts if one != embed.PROBE)
    assert told.split() == words
    shared = await stage.database.all(text("SELECT FROM passages WHERE last_chunk > chunk"))
    assert shared
    assert await found(stage, deps.searcher.spaces, "w599", limit=1)


async def test_a_successor_goes_on_after_what_has_vectors(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "BATCH", 2)
    file_id = await stage.upload(" ".join(f"w{number}" for number in range(2000)))
    await stage.add(file_id, size=100)
    first = asyncio.create_task(ingest(deps))
    while len(model.requests) < 4:
        model.asked.clear()
        await model.asked.wait()
    model.gate.clear()
    await asyncio.wait_for(model.asked.wait(), 10)
    known = (await stage.file(file_id))["chunks_embedded"]
    second = await successor(stage, deps)
    asked = len(model.requests)
    model.gate.set()

    await ingest(second)
    await first

    row = await stage.file(file_id)
    assert (row["status"], row["chunks_embedded"]) == ("completed", row["chunks"])
    assert known > 0
    pieces = {one for one in model.texts if one != embed.PROBE}
    assert await passages(stage) == len(pieces)
    assert len(model.requests) < asked + 1 + row["chunks"] - known  # none of the first ones again


@pytest.mark.parametrize("how", ["file", "from_store", "batch"])
async def test_of_a_file_that_goes_in_the_middle_nothing_is_left(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "BATCH", 1)
    file_id = await stage.upload("word " * 2000)
    await stage.add(file_id, size=100)
    reader = asyncio.create_task(ingest(deps))
    while len(model.requests) < 4:
        model.asked.clear()
        await model.asked.wait()
    if how == "file":
        await files.delete(stage.database, stage.store, stage.project_id, file_id)
    elif how == "from_store":
        gone = text("DELETE FROM vector_store_files WHERE id = :id")
        await stage.database.all(gone, {"id": file_id})
    else:
        await stage.database.all(text("UPDATE vector_stores SET expires_after_days = 1, expires_at = now()"))
        await sweep.sweep_files(deps)
    await reader
    await sweep.sweep_files(deps)

    assert await passages(stage) == 0
    assert await stage.chunks(file_id) == 0


async def test_a_model_that_is_away_is_waited_for(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "PAUSE", timedelta(milliseconds=20))
    file_id = await stage.upload(FRUIT)
    await stage.add(file_id)
    model.away = True
    reader = asyncio.create_task(ingest(deps))
    while not model.refusals:
        model.asked.clear()
        await model.asked.wait()
    assert (await stage.file(file_id))["status"] == "in_progress"
    model.away = False
    await reader

    assert (await stage.file(file_id))["status"] == "completed"


async def test_a_model_that_stays_away_fails_the_file(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "PATIENCE", timedelta(0))
    model.away = True
    file_id = await stage.upload(FRUIT)
    await stage.add(file_id)
    await ingest(deps)

    row = await stage.file(file_id)
    assert (row["status"], row["last_error"]["code"]) == ("failed", "server_error")
    assert "embedding model did not work for 10 minutes" in row["last_error"]["message"]


async def test_what_the_model_refuses_fails_and_says_so(stage: Stage, deps: Deps, model: ScriptedEmbeddings) -> None:
    model.refused = "Plums"
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


async def test_searches_go_on_while_the_model_is_away(stage: Stage, deps: Deps, model: ScriptedEmbeddings) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    model.away = True

    assert [hit for hit, _ in await found(stage, deps.searcher.spaces, "wheels")] == [CARS]


async def test_another_model_makes_all_vectors_anew(stage: Stage, deps: Deps, model: ScriptedEmbeddings) -> None:
    """Meanwhile files are found by their words, and afterwards as before; nothing of the former model is left."""
    file_id = await stage.upload(CARS)
    await stage.add(file_id)
    await ingest(deps)
    other = spaces(stage, model, embedding_model="second")
    newer = replace(deps, searcher=Searcher(other))
    meanwhile = await found(stage, other, "wheels"), await found(stage, other, "vehicle")

    assert await reembed_one(newer, other)
    assert not await reembed_one(newer, other)

    assert [hit for hit, _ in meanwhile[0]] == [CARS]
    assert meanwhile[1] == []
    assert (await found(stage, other, "vehicle"))[0][0] == CARS
    left = await stage.database.all(text("SELECT DISTINCT space FROM passages"))
    assert left == [{"space": (await stage.file(file_id))["space"]}]
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


async def test_a_file_that_a_new_model_refuses_is_put_off(stage: Stage, deps: Deps, model: ScriptedEmbeddings) -> None:
    await stage.add(await stage.upload(CARS))
    await stage.add(await stage.upload(FRUIT))
    await ingest(deps)
    model.refused = "automobile"
    other = spaces(stage, model, embedding_model="second")
    newer = replace(deps, searcher=Searcher(other))

    assert await reembed_one(newer, other)
    assert await reembed_one(newer, other)
    assert not await reembed_one(newer, other)

    spaces_of_files = await stage.database.all(text("SELECT space FROM vector_store_files ORDER BY space"))
    assert [row["space"] for row in spaces_of_files] == [1, 2]
    await other.model.close()


async def test_copied_files_are_found_in_their_own_store_alone(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings
) -> None:
    """Of the same bytes in another store there are the same vectors, made once."""
    other = await stores.create(stage.database, stage.project_id, {}, [], "english")
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    asked = len(model.requests)
    await stage.add_to(other["id"], await stage.upload(CARS))
    await ingest(deps)

    assert len(model.requests) == asked
    assert len(await found(stage, deps.searcher.spaces, "vehicle", other["id"])) == 1
    assert len(await found(stage, deps.searcher.spaces, "vehicle", other["id"], stage.store_id)) == 2
    scores = {score for _, score in await found(stage, deps.searcher.spaces, "vehicle", other["id"], stage.store_id)}
    assert len(scores) == 1


async def test_two_tenants_with_the_same_bytes_never_see_each_other(stage: Stage, deps: Deps) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)

    await keys.create(stage.database, "theirs")
    row = await stage.database.one(text("SELECT id FROM projects WHERE name = 'theirs'"))
    assert row is not None
    theirs = await stage.upload(CARS, project_id=row["id"])
    store = await stores.create(stage.database, row["id"], {}, [new_file(theirs, {}, 800, 0)], "english")
    await ingest(deps)

    hits = await deps.searcher.search(stage.database, row["id"], [store["id"]], ["vehicle"])

    assert [hit["file_id"] for hit in hits] == [theirs]
    assert len(await found(stage, deps.searcher.spaces, "vehicle")) == 1
    with pytest.raises(NotFound):
        await deps.searcher.search(stage.database, row["id"], [stage.store_id], ["vehicle"])


async def test_processes_that_begin_a_space_at_once_get_the_same(stage: Stage, model: ScriptedEmbeddings) -> None:
    for dimensions in range(100, 110):
        beginning = (spaces(stage, model).begin(stage.database, dimensions) for _ in range(5))
        assert len(set(await asyncio.gather(*beginning))) == 1


async def test_a_space_that_a_search_found_without_an_index_gets_one(stage: Stage, deps: Deps) -> None:
    """Whoever began it died in the middle."""
    begun = "INSERT INTO embedding_spaces (model, dimensions, \"window\") VALUES ('first', 512, 50)"
    await stage.database.all(text(begun))
    await found(stage, deps.searcher.spaces, "vehicle")
    await stage.add(await stage.upload(CARS))
    await ingest(deps)

    assert await stage.database.one(text("SELECT FROM pg_class WHERE relname = 'passages_near_1'")) is not None


async def test_a_model_that_refuses_everything_ends_no_duty(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key would otherwise take the worker with it, and all its runs."""
    monkeypatch.setattr(reembed, "LOOK_S", 0.01)
    await stage.add(await stage.upload(CARS))
    await ingest(stage.deps)
    model.refused = embed.PROBE
    duty = asyncio.create_task(reembed.reembed_for_ever(deps))
    while len(model.requests) < 2:
        model.asked.clear()
        await model.asked.wait()
    model.refused = None
    while (row := await stage.database.one(text("SELECT space FROM vector_store_files"))) != {"space": 1}:
        assert row is not None
        assert not duty.done()
    duty.cancel()


async def test_two_generations_of_workers_do_not_undo_each_others_work(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings
) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    other, former = spaces(stage, model, embedding_model="second"), deps.searcher.spaces
    assert former is not None

    made = [(await reembed_one(deps, other), await reembed_one(deps, former)) for _ in range(3)]

    assert made == [(True, False), (False, False), (False, False)]
    await other.model.close()


async def test_who_has_lost_a_file_while_embedding_it_anew_leaves_it_alone(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model's vectors came and took the place of those that were kept already."""
    monkeypatch.setattr(embed, "BATCH", 1)
    file_id = await stage.upload(" ".join(f"w{number}" for number in range(200)))
    await stage.add(file_id, size=100)
    await ingest(stage.deps)
    second, third = (spaces(stage, model, embedding_model=name) for name in ("second", "third"))
    asked = len(model.requests)
    slow = asyncio.create_task(reembed_one(deps, second))
    while len(model.requests) < asked + 3:
        model.asked.clear()
        await model.asked.wait()
    model.gate.clear()
    await stage.database.all(text("UPDATE vector_store_files SET embedding_until = now() - interval '1 second'"))
    model.gate.set()
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
    stage: Stage, deps: Deps, model: ScriptedEmbeddings
) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    model.dimensions = 300
    file_id = await stage.upload(FRUIT)
    await stage.add(file_id)
    await ingest(deps)
    await ingest(await successor(stage, deps))

    assert [(await stage.file(file_id))[name] for name in ("status", "space")] == ["completed", 2]
    assert deps.searcher.spaces is not None
    assert await reembed_one(deps, deps.searcher.spaces)
    assert (await found(stage, deps.searcher.spaces, "vehicle"))[0][0] == CARS


def vectors_of(number: str, count: int = 512, *, of: int = 1) -> str:
    one = ",".join([number] * count)
    return '{"data": [' + ",".join(f'{{"index": {index}, "embedding": [{one}]}}' for index in range(of)) + "]}"


ODD = {
    "huge": vectors_of("1e30"),
    "not finite": vectors_of("1e999"),
    "not a number": vectors_of("NaN"),
    "words": vectors_of('"nan"'),
    "null": vectors_of("null"),
    "empty": vectors_of("1", 0),
    "too many dimensions": vectors_of("1", 15_969),
    "two for one": vectors_of("1", of=2),
    "a page": "<html>Under maintenance</html>",
    "nothing": "",
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
async def test_odd_answers_fail_a_file_and_leave_searches_to_words(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings, answer: str
) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    model.instead = web.Response(body=answer.encode())
    file_id = await stage.upload(FRUIT)
    await stage.add(file_id)
    await ingest(deps)

    row = await stage.file(file_id)
    assert (row["status"], row["last_error"]["message"][:36]) == ("failed", "The server's embedding model answere")
    assert [hit for hit, _ in await found(stage, deps.searcher.spaces, "wheels")] == [CARS]


async def test_a_search_waits_no_longer_than_it_says(
    stage: Stage, deps: Deps, model: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the model asks for."""
    monkeypatch.setattr(search, "PATIENCE", timedelta(seconds=0.2))
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    model.instead = web.Response(status=429, headers={"Retry-After": "20"})
    async with asyncio.timeout(10):
        assert [hit for hit, _ in await found(stage, deps.searcher.spaces, "wheels")] == [CARS]


async def test_blank_chunks_at_the_end_are_done_as_well(
    stage: Stage, deps: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = await stage.upload("word " * 400)
    await stage.add(file_id)
    monkeypatch.setattr(stage.deps.readers, "reading", told(*[" " * 100] * 5))
    await ingest(deps)

    row = await stage.file(file_id)
    assert (row["status"], row["chunks_embedded"]) == ("completed", row["chunks"])


async def test_words_of_a_question_are_bounded_whatever_keeps_them_apart(stage: Stage, deps: Deps) -> None:
    """Each costs a look into the index and one at every candidate: one of many questions may have fewer."""
    await stage.add(await stage.upload(FRUIT))
    await ingest(deps)
    for sign in " ._-":
        within, beyond = (sign.join([f"w{number}" for number in range(many)] + ["plums"]) for many in (63, 64))
        assert await found(stage, None, within)
        assert await found(stage, None, beyond) == []
    many = [f"{' '.join(f'w{number}' for number in range(20))} plums"] * 20
    assert await Searcher().search(stage.database, stage.project_id, [stage.store_id], many) == []
