"""Projects live through all that costs something; what the administration is told is what their models counted."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.postgres import Postgres
from tests.api.test_runs import run_to_end
from tests.organization.conftest import Admin
from tests.sandbox.service import lent
from tests.scripted_model import CallFunctions, Garbage, Say, ScriptedModel
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import Project, System, create_database, redis_apart
from tests.tools.test_file_search import SEARCH, searches
from tests.usage.asking import costs, key_of, results
from tests.vector_stores import store_of
from worker.ingest.embed import PROBE

EMBEDDER, REWRITER = "vectors-of-the-tests", "rewriter-of-the-tests"
PRICES = f"""
version = "tests"
[[tokens]]
models = ["{EMBEDDER}"]
input = "1000000"
[[code_interpreter_sessions]]
each = "0.03"
[[file_search_calls]]
each = "0.25"
"""
WORDLESS = Garbage(b'{"usage": {"prompt_tokens": 7, "completion_tokens": 2}}', "application/json")
CODE: Any = {"type": "code_interpreter"}
ALL: Any = ["project_id", "api_key_id", "model"]


@pytest.fixture(scope="module")
async def embedder() -> AsyncIterator[ScriptedEmbeddings]:
    scripted = ScriptedEmbeddings()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture(scope="module")
def system(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, embedder: ScriptedEmbeddings
) -> Iterator[System]:
    """With everything that costs something: an embedding model, one that rewrites questions, the code interpreter."""
    root = room / "a-life"
    root.mkdir()
    (root / "prices.toml").write_text(PRICES)
    settings = {
        "ASSISTANTD_EMBEDDING_BASE_URL": embedder.base_url,
        "ASSISTANTD_EMBEDDING_MODEL": EMBEDDER,
        "ASSISTANTD_REWRITE_MODEL": REWRITER,
        "ASSISTANTD_PRICES": str(root / "prices.toml"),
    }
    url = create_database(postgres.url, "a_life")
    with lent(warm=1, memory_mb=512) as service:
        made = System(root, url, redis_apart(redis_url), model.base_url, {**settings, **service.told})
        made.start()
        yield made
        made.stop()


class Life:
    """What a project does, and what its models have counted meanwhile: requests, and of those their tokens."""

    def __init__(self, project: Project, model: ScriptedModel, embedder: ScriptedEmbeddings) -> None:
        self.project, self.client = project, project.client
        self.files, self.questions = [0, 0], [0, 0]
        self._model, self._embedder = model, embedder

    async def fill(self, **texts: str) -> str:
        """A store with these files; its id."""
        before = len(self._embedder.requests)
        store_id, _ = await store_of(self.client, **texts)
        self._count(self.files, before)
        return store_id

    async def search(self, store_id: str, *queries: str, **more: Any) -> None:
        before = len(self._embedder.requests)
        await self.client.vector_stores.search(store_id, query=list(queries), **more)
        self._count(self.questions, before)

    async def run(self, *calls: CallFunctions, tools: Any, stores: Any = (), thread: Any = None) -> Any:
        """A run that makes these calls and ends; returns its thread. A second store is the thread's own."""
        before = len(self._embedder.requests)
        found = [{"file_search": {"vector_store_ids": [store_id]}} for store_id in stores] + [{}, {}]
        name = self._model.script(*calls, Say("Well."))
        assistant = await self.client.beta.assistants.create(model=name, tools=tools, tool_resources=found[0])  # type: ignore[arg-type]
        if thread is None:
            asked: Any = [{"role": "user", "content": "Well?"}]
            thread = await self.client.beta.threads.create(messages=asked, tool_resources=found[1])  # type: ignore[arg-type]
        run = await run_to_end(self.project, assistant, thread)
        assert run.status == "completed", run.last_error
        self._count(self.questions, before)
        return thread

    def _count(self, sums: list[int], before: int) -> None:
        asked = [texts for texts in self._embedder.requests[before:] if texts != [PROBE]]  # which is nobody's
        sums[0] += len(asked)
        sums[1] += sum(len(texts) for texts in asked)  # a text, a token


def code(line: str) -> CallFunctions:
    return CallFunctions([("code_interpreter", {"code": line})])


async def test_each_endpoint_tells_what_was_counted(
    system: System, admin: Admin, model: ScriptedModel, embedder: ScriptedEmbeddings
) -> None:
    """Ours searches in one store, in another and in two at once, and computes on two threads; theirs does a little."""
    async with Project.of(system) as first, Project.of(system) as second:
        ours, theirs = Life(first, model, embedder), Life(second, model, embedder)
        tower = await ours.fill(tower="The tower is tall.", bridge="The bridge is long.", dam="The dam is wide.")
        cake = await ours.fill(cake="Cakes are made of flour.")
        await theirs.fill(tram="The tram is yellow.")

        await ours.search(tower, "How tall?", "How long?", "How wide?")
        model.script(Say("flour of cakes", cached=5), WORDLESS, name=REWRITER)
        for _ in range(2):
            await ours.search(cake, "What, please, is a cake made of?", rewrite_query=True)
        await ours.run(searches("tall", "long"), searches("wide"), tools=[SEARCH], stores=[tower])
        await ours.run(searches("flour"), tools=[SEARCH], stores=[cake])
        await ours.run(searches("flour"), tools=[SEARCH], stores=[tower, cake])
        thread = await ours.run(code("x = 6"), code("print(7 * x)"), tools=[CODE])
        await ours.run(code("print(x)"), tools=[CODE], thread=thread)
        await ours.run(code("print(1)"), tools=[CODE])
        await theirs.run(code("print(2)"), tools=[CODE])
        (project, key), (other, _) = key_of(system, first), key_of(system, second)

    told = await results(admin.client, "embeddings", group_by=ALL)
    assert {
        (one.project_id, one.api_key_id, one.model): [one.num_model_requests, one.input_tokens] for one in told
    } == {
        (project, None, EMBEDDER): ours.files,
        (project, key, EMBEDDER): ours.questions,
        (other, None, EMBEDDER): theirs.files,
    }
    assert (ours.files[1], ours.questions, theirs.files[1]) == (4, [7, 3 + 1 + 1 + 2 + 1 + 1 + 1], 1)
    (of_key,) = await results(admin.client, "embeddings", api_key_ids=[key], models=[EMBEDDER])
    assert [of_key.num_model_requests, of_key.input_tokens] == ours.questions
    assert await results(admin.client, "embeddings", models=["another"]) == []

    told = await results(admin.client, "file_search_calls", group_by=["project_id", "api_key_id", "vector_store_id"])
    assert {(one.project_id, one.api_key_id, one.vector_store_id): one.num_requests for one in told} == {
        (project, key, tower): 2,
        (project, key, cake): 1,
        (project, key, None): 1,
    }
    (of_tower,) = await results(admin.client, "file_search_calls", vector_store_ids=[tower])
    assert of_tower.num_requests == 2
    assert await results(admin.client, "file_search_calls", project_ids=[other]) == []

    told = await results(admin.client, "code_interpreter_sessions", group_by=["project_id"])
    assert {one.project_id: one.num_sessions for one in told} == {project: 2, other: 1}
    (of_both,) = await results(admin.client, "code_interpreter_sessions")
    assert of_both.num_sessions == 3

    (rewritten,) = await results(admin.client, "completions", models=[REWRITER], group_by=ALL)
    asked, _ = model.requests(REWRITER)
    words = sum(len(message["content"].split()) for message in asked.messages)
    assert (rewritten.project_id, rewritten.api_key_id, rewritten.num_model_requests) == (project, key, 2)
    counted = rewritten.input_tokens, rewritten.input_cached_tokens, rewritten.output_tokens
    assert counted == (words + 7, 5, 3 + 2), "what says nothing has cost something too"

    bill = await costs(admin.client, project_ids=[project], group_by=["line_item"])
    assert {one.line_item: one.amount.value for one in bill if one.amount.value} == {
        f"{EMBEDDER}, input": ours.files[1] + ours.questions[1],
        "code interpreter sessions": 0.06,
        "file search calls": 1.0,
    }
