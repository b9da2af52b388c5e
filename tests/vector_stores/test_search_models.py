"""Searches that ask models: for vectors, for a second opinion, for better words. Each of them may be away."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.postgres import Postgres
from tests.scripted_model import CallFunctions, Fail, Say, ScriptedModel
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import Project, System, create_database, redis_apart
from tests.vector_stores import store_of

REWRITER = "says-it-anew"
TEXTS = {
    "cars": "The automobile has four wheels.",
    "fruit": "Apples keep for months in a cellar.",
    "garage": "A garage is where the vehicle is at night.",
}


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[ScriptedEmbeddings]:
    scripted = ScriptedEmbeddings("automobile car vehicle")
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture(scope="module")
def system(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, models: ScriptedEmbeddings
) -> Iterator[System]:
    root = room / "search-models"
    root.mkdir()
    settings = {
        "ASSISTANTD_EMBEDDING_BASE_URL": models.base_url,
        "ASSISTANTD_EMBEDDING_MODEL": "scripted",
        "ASSISTANTD_RERANKER_BASE_URL": models.base_url,
        "ASSISTANTD_RERANKER_MODEL": "scripted",
        "ASSISTANTD_REWRITE_MODEL": REWRITER,
    }
    url = create_database(postgres.url, "search_models")
    made = System(root, url, redis_apart(redis_url), model.base_url, settings)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System, models: ScriptedEmbeddings) -> AsyncIterator[Project]:
    models.away = False
    async with Project.of(system) as tenant:
        yield tenant


async def found(project: Project, store_id: str, query: Any, **more: Any) -> list[tuple[str, float]]:
    page = await project.client.vector_stores.search(store_id, query=query, **more)
    return [(hit.filename.removesuffix(".txt"), hit.score) for hit in page.data]


async def test_a_reranker_decides_about_order_and_score(project: Project) -> None:
    store_id, _ = await store_of(project.client, **TEXTS)

    judged = await found(project, store_id, "A garage for a car")
    own = await found(project, store_id, "car", ranking_options={"ranker": "none"})

    assert judged[0] == ("garage", pytest.approx(9 / 18))
    assert {name for name, _ in own[:2]} == {"cars", "garage"}
    assert await found(project, store_id, "A garage", max_num_results=1) == [("garage", 1.0)]
    assert await found(project, store_id, "A garage", ranking_options={"score_threshold": 0.9}) == [("garage", 1.0)]


async def test_while_models_are_away_words_decide(project: Project, models: ScriptedEmbeddings) -> None:
    store_id, _ = await store_of(project.client, **TEXTS)
    models.away = True

    assert [name for name, _ in await found(project, store_id, "wheels")] == ["cars"]
    assert await found(project, store_id, "wheels", ranking_options={"score_threshold": 0.9}) == []


async def test_a_question_is_said_anew_for_the_search(project: Project, model: ScriptedModel) -> None:
    store_id, _ = await store_of(project.client, **TEXTS)
    model.script(Say(" cellar \n"), name=REWRITER)

    page = await project.client.vector_stores.search(
        store_id, query="Hello! Where, please, should one put it?", rewrite_query=True
    )

    assert (page.data[0].filename, page.to_dict()["search_query"]) == ("fruit.txt", ["cellar"])
    assert "Hello!" in str(model.requests(REWRITER)[-1].messages)


async def test_what_can_not_be_said_anew_is_searched_for_as_it_is(project: Project, model: ScriptedModel) -> None:
    store_id, _ = await store_of(project.client, **TEXTS)
    refuse = Fail(400, "no")
    model.script(refuse, Say(""), name=REWRITER)

    for _ in range(2):
        page = await project.client.vector_stores.search(store_id, query="cellar", rewrite_query=True)
        assert (page.data[0].filename, page.to_dict()["search_query"]) == ("fruit.txt", ["cellar"])


async def test_a_run_searches_with_the_same_models(project: Project, model: ScriptedModel) -> None:
    store_id, files = await store_of(project.client, **TEXTS)
    asked = CallFunctions([("file_search", {"queries": ["A garage"]})])
    assistant = await project.client.beta.assistants.create(
        model=model.script(asked, Say("There【1:0†source】.")),
        tools=[{"type": "file_search", "file_search": {"max_num_results": 1}}],
        tool_resources={"file_search": {"vector_store_ids": [store_id]}},
    )
    run = await project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    steps = await project.client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc")

    details = steps.data[0].step_details
    assert details.type == "tool_calls"
    (call,) = details.tool_calls
    assert call.type == "file_search"
    assert [(hit.file_id, hit.score) for hit in call.file_search.results or []] == [(files["garage"], 1.0)]
