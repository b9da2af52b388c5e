"""Models that answer oddly, or late, and questions that would cost too much."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web

from shared.vector_stores import search
from shared.vector_stores.search import Searcher
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.vector_stores.stage import Stage, told
from tests.vector_stores.vectors import CARS, FRUIT, found
from worker.deps import Deps
from worker.ingest.executor import ingest


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
    "too many dimensions": vectors_of("1", 16_001),
    "two for one": vectors_of("1", of=2),
    "a page": "<html>Under maintenance</html>",
    "nothing": "",
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
async def test_odd_answers_fail_a_file_and_leave_searches_to_words(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings, answer: str
) -> None:
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    embeddings.instead = web.Response(body=answer.encode())
    file_id = await stage.upload(FRUIT)
    await stage.add(file_id)
    await ingest(deps)

    row = await stage.file(file_id)
    assert (row["status"], row["last_error"]["message"][:36]) == ("failed", "The server's embedding model answere")
    assert [hit for hit, _ in await found(stage, deps.searcher.spaces, "wheels")] == [CARS]


async def test_a_search_waits_no_longer_than_it_says(
    stage: Stage, deps: Deps, embeddings: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the model asks for."""
    monkeypatch.setattr(search, "PATIENCE", timedelta(seconds=0.2))
    await stage.add(await stage.upload(CARS))
    await ingest(deps)
    embeddings.instead = web.Response(status=429, headers={"Retry-After": "20"})
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
    assert (
        await Searcher().search(stage.database.within(stage.project_id), stage.project_id, [stage.store_id], many) == []
    )
