"""Searching: what is found, in which order, with which filters."""

from typing import Any

import pytest
from openai import AsyncOpenAI

from shared.vector_stores.filters import json_path
from tests.system import Project, System
from tests.vector_stores import POLL_MS, store_of, upload

TEXTS = {
    "apples": "Apples keep for months in a cool cellar.",
    "pears": "Pears keep for weeks. Don't store pears next to apples.",
    "plums": "Plums are dried, and dried plums are called prunes.",
}


@pytest.fixture
def client(project: Project) -> AsyncOpenAI:
    return project.client


async def found(client: AsyncOpenAI, store_id: str, query: Any, **more: Any) -> list[str]:
    page = await client.vector_stores.search(store_id, query=query, **more)
    return [hit.filename.removesuffix(".txt") for hit in page.data]


async def test_the_best_answer_comes_first(client: AsyncOpenAI) -> None:
    store_id, _ = await store_of(client, **TEXTS)

    page = await client.vector_stores.search(store_id, query="How long do apples keep in a cellar?")

    assert [hit.filename for hit in page.data] == ["apples.txt", "pears.txt"]
    scores = [hit.score for hit in page.data]
    assert 1 >= scores[0] > scores[1] > 0
    assert [part.text for part in page.data[0].content] == [TEXTS["apples"]]


async def test_words_are_compared_by_their_stems(client: AsyncOpenAI) -> None:
    store_id, _ = await store_of(client, **TEXTS)

    assert await found(client, store_id, "drying a plum") == ["plums"]
    assert await found(client, store_id, "oranges") == []
    assert await found(client, store_id, "what is the?") == []  # words that are everywhere
    assert await found(client, store_id, "w" * 4096) == []
    assert await found(client, store_id, "plum's ' \\ | & ! ( ) :* <-> \"prune") == ["plums"]


async def test_of_several_queries_the_best_counts(client: AsyncOpenAI) -> None:
    store_id, _ = await store_of(client, **TEXTS)

    page = await client.vector_stores.search(store_id, query=["prunes", "cellar"])

    assert {hit.filename for hit in page.data} == {"plums.txt", "apples.txt"}
    scores = [hit.score for hit in page.data]
    assert scores == pytest.approx([0.67, 0.67], abs=0.01)  # one word, once, in a short text


async def test_results_are_cut_by_number_and_score(client: AsyncOpenAI) -> None:
    store_id, _ = await store_of(client, **TEXTS)
    query = "apples keep cellar months"

    assert await found(client, store_id, query, max_num_results=1) == ["apples"]
    assert await found(client, store_id, query, ranking_options={"score_threshold": 0.5}) == ["apples"]
    assert await found(client, store_id, query, ranking_options={"ranker": "none", "score_threshold": 0.0}) == [
        "apples",
        "pears",
    ]


async def test_only_files_that_were_read_are_searched(client: AsyncOpenAI) -> None:
    store_id, ids = await store_of(client, **TEXTS)
    other, _ = await store_of(client, quinces="Quinces keep, too.")

    await client.vector_stores.files.delete(ids["pears"], vector_store_id=store_id)

    assert await found(client, store_id, "keep") == ["apples"]
    assert await found(client, other, "keep") == ["quinces"]


def _is(kind: str, key: str, value: Any) -> Any:
    return {"type": kind, "key": key, "value": value}


def _all(*filters: Any) -> Any:
    return {"type": "and", "filters": list(filters)}


def _any(*filters: Any) -> Any:
    return {"type": "or", "filters": list(filters)}


FILES: dict[str, dict[str, Any]] = {
    "a": {"author": "Ada", "year": 1843, "draft": False, "price": 1.5},
    "b": {"author": "Bob", "year": 1990, "draft": True},
    "c": {"author": 'Zoë "the" $.x', "year": "1990"},
    "d": {},
}

CONDITIONS: list[tuple[Any, str]] = [
    (_is("eq", "author", "Ada"), "a"),
    (_is("eq", "author", 'Zoë "the" $.x'), "c"),
    (_is("eq", "year", 1990), "b"),
    (_is("eq", "year", 1990.0), "b"),
    (_is("eq", "draft", value=True), "b"),
    (_is("ne", "author", "Ada"), "bcd"),
    (_is("ne", "year", 1990), "acd"),
    (_is("gt", "year", 1843), "b"),
    (_is("gte", "year", 1843), "ab"),
    (_is("lt", "price", 2), "a"),
    (_is("lte", "price", 1.5), "a"),
    (_is("gt", "author", "Aea"), "bc"),
    (_is("in", "author", ["Ada", "Bob", 7]), "ab"),
    (_is("nin", "author", ["Ada", "Bob"]), "cd"),
    (_is("in", "year", [1990, "1990"]), "bc"),
    (_is("eq", 'no"such$key', 1), ""),
    (_all(_is("gte", "year", 1800), _is("eq", "draft", value=False)), "a"),
    (_any(_is("eq", "author", "Ada"), _is("eq", "author", "Bob")), "ab"),
    (_any(_is("eq", "author", "Ada"), _all(_is("ne", "draft", value=True), _is("ne", "year", 1843))), "acd"),
]


@pytest.fixture(scope="module")
async def filed(system: System) -> Any:
    """A store whose files all say the same, and differ in their attributes."""
    async with Project.of(system) as tenant:
        client = tenant.client
        store = await client.vector_stores.create()
        files: Any = [
            {"file_id": await upload(client, "Apples.", f"{name}.txt"), "attributes": attributes}
            for name, attributes in FILES.items()
        ]
        batch = await client.vector_stores.file_batches.create_and_poll(store.id, files=files, poll_interval_ms=POLL_MS)
        assert batch.file_counts.completed == len(FILES)
        yield client, store.id


@pytest.mark.parametrize(
    ("condition", "names"), CONDITIONS, ids=lambda value: json_path(value) if isinstance(value, dict) else ""
)
async def test_filters(filed: tuple[AsyncOpenAI, str], condition: Any, names: str) -> None:
    client, store_id = filed

    assert sorted(await found(client, store_id, "apples", filters=condition)) == sorted(names)


async def test_a_filter_that_nothing_can_hold(project: Project) -> None:
    """A null character is no part of any attribute: a 400, and not a failure of ours."""
    store = await project.client.vector_stores.create()
    with pytest.raises(Exception, match="null character") as caught:
        await found(project.client, store.id, "apples", filters=_is("eq", "a", "\0"))
    assert getattr(caught.value, "status_code", None) == 400
