"""Vector stores of assistants and threads: named ones have to be there, described ones are made."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.scripted_model import Say, ScriptedModel
from tests.system import Project
from tests.vector_stores import upload


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


def named(*store_ids: str) -> Any:
    return {"file_search": {"vector_store_ids": list(store_ids)}}


def described(**more: Any) -> Any:
    return {"file_search": {"vector_stores": [more]}}


async def stores(client: httpx2.AsyncClient) -> list[Any]:
    return (await client.get("/vector_stores")).json()["data"]


async def test_a_named_store_is_kept(client: httpx2.AsyncClient) -> None:
    store = (await client.post("/vector_stores")).json()["id"]

    assistant = (await client.post("/assistants", json={"model": "m", "tool_resources": named(store)})).json()
    thread = (await client.post("/threads", json={"tool_resources": named(store)})).json()
    emptied = (await client.post(f"/threads/{thread['id']}", json={"tool_resources": named()})).json()

    assert assistant["tool_resources"] == thread["tool_resources"] == named(store)
    assert emptied["tool_resources"] == named()
    assert len(await stores(client)) == 1


@pytest.mark.parametrize(
    "path", ["/assistants", "/assistants/{assistant}", "/threads", "/threads/{thread}", "/threads/runs"]
)
async def test_an_unknown_store_is_refused(client: httpx2.AsyncClient, path: str) -> None:
    assistant = (await client.post("/assistants", json={"model": "m"})).json()["id"]
    thread = (await client.post("/threads")).json()["id"]
    more = {"/assistants": {"model": "m"}, "/threads/runs": {"assistant_id": assistant}}.get(path, {})

    answer = await client.post(
        path.format(assistant=assistant, thread=thread), json={**more, "tool_resources": named("vs_unknown")}
    )

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "No vector store found with id 'vs_unknown'."


@pytest.mark.parametrize(
    ("resources", "param"),
    [
        (named("vs_1", "vs_2"), "tool_resources.file_search.vector_store_ids"),
        ({"file_search": {"vector_stores": [{}, {}]}}, "tool_resources.file_search.vector_stores"),
        ({"file_search": {"vector_stores": [{}], "vector_store_ids": ["vs_1"]}}, "tool_resources.file_search"),
        (described(name="x"), "tool_resources.file_search.vector_stores[0].name"),
    ],
)
async def test_what_is_refused(client: httpx2.AsyncClient, resources: Any, param: str) -> None:
    answer = await client.post("/threads", json={"tool_resources": resources})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert await stores(client) == []


@pytest.mark.parametrize("path", ["/assistants/{assistant}", "/threads/{thread}"])
async def test_stores_are_not_made_by_modifying(client: httpx2.AsyncClient, path: str) -> None:
    assistant = (await client.post("/assistants", json={"model": "m"})).json()["id"]
    thread = (await client.post("/threads")).json()["id"]

    answer = await client.post(path.format(assistant=assistant, thread=thread), json={"tool_resources": described()})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "unknown_parameter")
    assert error["param"] == "tool_resources.file_search.vector_stores"
    assert await stores(client) == []


async def test_a_described_store_is_made(client: httpx2.AsyncClient, project: Project) -> None:
    file_id = await upload(project.client, "Apples.")
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    resources = described(file_ids=[file_id], chunking_strategy=static, metadata={"a": "b"})

    assistant = (await client.post("/assistants", json={"model": "m", "tool_resources": resources})).json()

    (store,) = await stores(client)
    assert assistant["tool_resources"] == named(store["id"])
    assert (store["metadata"], store["file_counts"]["total"], store["expires_at"]) == ({"a": "b"}, 1, None)
    polled = await project.client.vector_stores.files.poll(file_id, vector_store_id=store["id"], poll_interval_ms=20)
    assert polled.status == "completed"
    assert (await client.get(f"/assistants/{assistant['id']}")).json() == assistant


async def test_a_thread_that_comes_with_its_run(
    client: httpx2.AsyncClient, project: Project, model: ScriptedModel
) -> None:
    """Both places in which the request can say it."""
    assistant = await project.client.beta.assistants.create(model=model.script(Say("Hi."), Say("Hi.")))
    for body in ({"thread": {"tool_resources": described()}}, {"tool_resources": described()}):
        run = await project.client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id, extra_body=body, poll_interval_ms=20
        )
        thread = (await client.get(f"/threads/{run.thread_id}")).json()
        store = (await stores(client))[0]
        assert thread["tool_resources"] == named(store["id"])
        assert store["expires_after"] == {"anchor": "last_active_at", "days": 7}
    assert len(await stores(client)) == 2


async def test_what_is_refused_makes_no_store(client: httpx2.AsyncClient) -> None:
    for path, body in [
        ("/threads/runs", {"assistant_id": "asst_unknown", "tool_resources": described()}),
        ("/threads", {"tool_resources": described(file_ids=["file-unknown"])}),
        ("/assistants", {"model": "m", "tool_resources": described(file_ids=["file-unknown"])}),
    ]:
        assert (await client.post(path, json=body)).status_code == 404
    assert await stores(client) == []
