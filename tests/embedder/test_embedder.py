"""The embedder as a process: what it says, to whom, and from a document to an answer without a network."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError

from infra.embedded.postgres import Postgres
from tests.ports import free_port
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Process, Project, System, create_database, redis_apart
from tests.vector_stores import store_of

pytestmark = pytest.mark.alone  # a model at work takes all processors, and how long it takes is judged

KEY = "a-key-of-the-tests"
MODEL = "all-minilm-l6-v2"
FACTS = {
    "returns": "Goods may be sent back within thirty days for a full refund.",
    "shipping": "Parcels leave our warehouse each morning and travel by rail.",
    "opening": "The shop is open from nine to five, except on public holidays.",
}


@pytest.fixture(scope="module")
def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    """API, worker and the embedder, none of which knows of another one's inside."""
    root = room / "embedder"
    root.mkdir()
    port = free_port()
    settings = {
        "ASSISTANTD_EMBEDDING_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "ASSISTANTD_EMBEDDING_API_KEY": KEY,
        "ASSISTANTD_EMBEDDING_MODEL": MODEL,
        "ASSISTANTD_EMBEDDING_WINDOW": "200",
    }
    url = create_database(postgres.url, "embedder")
    made = System(root, url, redis_apart(redis_url), model.base_url, settings)
    processes = made.spawn("embedder", "--port", str(port)), made.spawn_api(), made.spawn_worker()
    for process in processes:
        process.wait_until_ready()
    yield made
    made.stop()


@pytest.fixture
def embedder(system: System) -> Process:
    return system.processes[0]


@pytest.fixture
async def client(system: System) -> AsyncIterator[AsyncOpenAI]:
    base_url = system.settings["ASSISTANTD_EMBEDDING_BASE_URL"]
    async with AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_texts_that_mean_the_like_are_near(client: AsyncOpenAI) -> None:
    texts = ["How do I get my money back?", FACTS["returns"], FACTS["opening"]]
    answer = await client.embeddings.create(model=MODEL, input=texts)  # base64, as the client asks for by itself
    plain = await client.embeddings.create(model=MODEL, input=texts[0], encoding_format="float")

    question, near, far = (one.embedding for one in answer.data)
    assert [len(question), cosine(question, question)] == [384, pytest.approx(1, abs=1e-5)]
    assert cosine(question, near) > cosine(question, far) + 0.2
    assert plain.data[0].embedding == pytest.approx(question, abs=1e-6)
    assert (answer.usage.prompt_tokens, plain.usage.prompt_tokens) == (42, 10)


async def test_nothing_of_a_long_text_is_left_out(client: AsyncOpenAI) -> None:
    """Its end counts as much as its beginning."""
    filler = "Parcels travel by rail. " * 200
    texts = [filler + FACTS["returns"] * 60, filler, "How do I get my money back?"]
    answer = await client.embeddings.create(model=MODEL, input=texts)

    long, plain, question = (one.embedding for one in answer.data)
    assert cosine(long, question) > cosine(plain, question) + 0.1


async def test_a_text_has_the_same_vector_in_any_company(client: AsyncOpenAI) -> None:
    among = await client.embeddings.create(model=MODEL, input=[FACTS["returns"] * 9, FACTS["opening"], "no"])
    alone = await client.embeddings.create(model=MODEL, input=FACTS["opening"])

    assert cosine(among.data[1].embedding, alone.data[0].embedding) > 0.99


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": ["a", "a" * 65_537]}, "input"),
        ({"input": "a", "dimensions": 256}, "dimensions"),
        ({"input": "a", "model": "text-embedding-3-small"}, "model"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ],
)
async def test_what_it_refuses(client: AsyncOpenAI, body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        await client.embeddings.create(model=MODEL, input="", extra_body=body)
    assert refused.value.param == param


async def test_it_serves_those_who_have_the_key(client: AsyncOpenAI) -> None:
    with pytest.raises(AuthenticationError):
        await client.with_options(api_key="another").embeddings.create(model=MODEL, input="a")
    assert [model.id async for model in client.models.list()] == [MODEL]


async def test_a_question_is_not_kept_behind_a_book(client: AsyncOpenAI) -> None:
    """And what nobody waits for any more is not done."""
    book = asyncio.create_task(client.embeddings.create(model=MODEL, input=[FACTS["returns"] * 15] * 200))
    await client.embeddings.create(model=MODEL, input="Is the book under way?")
    began = time.monotonic()
    await client.embeddings.create(model=MODEL, input="How do I get my money back?")
    asked = time.monotonic() - began

    assert not book.done()
    book.cancel()
    assert asked < 2


async def test_a_question_in_other_words_is_answered_with_a_citation(project: Project, model: ScriptedModel) -> None:
    store_id, files = await store_of(project.client, **FACTS)
    asked = CallFunctions([("file_search", {"queries": ["How do I get my money back?"]})])
    assistant = await project.client.beta.assistants.create(
        model=model.script(asked, Say("Within thirty days【1:0†source】.")),
        tools=[{"type": "file_search"}],
        tool_resources={"file_search": {"vector_store_ids": [store_id]}},
    )
    run = await project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    messages = await project.client.beta.threads.messages.list(run.thread_id)

    (part,) = messages.data[0].content
    assert part.type == "text"
    (annotation,) = part.text.annotations
    assert annotation.type == "file_citation"
    assert annotation.file_citation.file_id == files["returns"]


async def test_while_it_is_gone_searches_go_by_words(project: Project, embedder: Process) -> None:
    """Last: it does not come back."""
    store_id, _ = await store_of(project.client, **FACTS)
    embedder.signal(signal.SIGTERM)
    assert await asyncio.to_thread(embedder.popen.wait, 10) == 0

    hits = await project.client.vector_stores.search(store_id, query="refund")

    assert [hit.filename for hit in hits.data] == ["returns.txt"]
