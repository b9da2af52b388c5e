"""Words that most of a large store's chunks have: they are looked up in a sample of the store alone."""

import pytest

from shared.vector_stores import ranking
from tests.vector_stores.stage import Stage, told
from tests.vector_stores.vectors import found
from worker.ingest.executor import ingest

CHUNKS = 600


@pytest.fixture
async def store(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A store of which each chunk is about apples, and the last one about a zebra as well; some are in the sample."""
    texts = [f"apples and {number}" for number in range(CHUNKS)]
    monkeypatch.setattr(stage.deps.readers, "reading", told(*texts[:-1], "apples and a zebra"))
    stage.store.gate.set()
    await stage.add(await stage.upload())
    await ingest(stage.deps)
    return stage


def common_from(monkeypatch: pytest.MonkeyPatch, chunks: int, few: int = 0) -> None:
    monkeypatch.setattr(ranking, "RARE", chunks)
    monkeypatch.setattr(ranking, "FEW", few)


async def test_a_rare_word_is_found_beside_a_common_one(store: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = await found(store, None, "apples zebra", limit=50)
    common_from(monkeypatch, ranking.SAMPLED)
    sampled = await found(store, None, "apples zebra", limit=50)

    assert plain[0][0] == sampled[0][0] == "apples and a zebra"
    assert sampled[0][1] == pytest.approx(plain[0][1], abs=0.05)
    assert 1 < len(sampled) < len(plain)


async def test_a_common_word_alone_finds_what_the_sample_has(store: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    common_from(monkeypatch, ranking.SAMPLED)
    hits = await found(store, None, "apples", limit=50)

    assert 1 < len(hits) < CHUNKS / 10
    assert all("apples" in text for text, _ in hits)


async def test_where_few_chunks_are_wanted_all_are_looked_at(store: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word is common in all of the store, and what is wanted may be one file."""
    plain = await found(store, None, "apples", limit=50)
    common_from(monkeypatch, ranking.SAMPLED, few=CHUNKS)

    assert await found(store, None, "apples", limit=50) == plain


async def test_what_most_chunks_have_weighs_as_little_as_if_it_had_been_counted(
    store: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = await found(store, None, "apples zebra")
    monkeypatch.setattr(ranking, "ENOUGH", 5)
    common_from(monkeypatch, ranking.SAMPLED)

    assert (await found(store, None, "apples zebra"))[0][1] == pytest.approx(plain[0][1], abs=0.05)
