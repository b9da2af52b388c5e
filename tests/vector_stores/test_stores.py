"""Creating, modifying, expiring and deleting vector stores, and what a request may not say."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.system import Project, System, until
from tests.vector_stores import store_of, upload

EXPIRY = {"anchor": "last_active_at", "days": 7}
DAY = 24 * 60 * 60


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


async def test_a_store_without_a_body(client: httpx2.AsyncClient) -> None:
    made = (await client.post("/vector_stores")).json()

    assert made == {
        "id": made["id"],
        "object": "vector_store",
        "created_at": made["created_at"],
        "name": "",
        "description": None,
        "usage_bytes": 0,
        "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0},
        "status": "completed",
        "expires_at": None,
        "last_active_at": made["created_at"],
        "metadata": {},
    }
    assert made["id"].startswith("vs_")
    assert (await client.get(f"/vector_stores/{made['id']}")).json() == made


async def test_modifying_changes_only_what_is_sent(client: httpx2.AsyncClient) -> None:
    given = {"name": "Fruit", "description": "d", "metadata": {"a": "b"}, "expires_after": EXPIRY}
    made = (await client.post("/vector_stores", json=given)).json()
    path = f"/vector_stores/{made['id']}"

    untouched = (await client.post(path, json={})).json()
    renamed = (await client.post(path, json={"name": "Fruits"})).json()
    emptied = (await client.post(path, json={"name": None, "metadata": None, "expires_after": None})).json()

    assert {name: made[name] for name in given} == given
    assert made["expires_at"] == made["last_active_at"] + 7 * DAY
    assert untouched == made
    assert renamed == {**made, "name": "Fruits"}
    assert emptied == {
        **{name: value for name, value in made.items() if name != "expires_after"},
        "name": "",
        "metadata": {},
        "expires_at": None,
    }


async def test_lists_hold_each_store_once(client: httpx2.AsyncClient) -> None:
    made = [(await client.post("/vector_stores", json={"name": str(n)})).json()["id"] for n in range(5)]

    first = (await client.get("/vector_stores", params={"limit": 2})).json()
    await client.delete(f"/vector_stores/{made[3]}")
    second = (await client.get("/vector_stores", params={"limit": 2, "after": made[3]})).json()
    last = (await client.get("/vector_stores", params={"limit": 2, "order": "asc", "before": made[2]})).json()

    assert [store["id"] for store in first["data"]] == [made[4], made[3]]
    assert [store["id"] for store in second["data"]] == [made[2], made[1]]
    assert [store["id"] for store in last["data"]] == made[:2]
    assert second["has_more"]


async def test_a_deleted_store_is_gone_and_its_files_are_not(project: Project, system: System) -> None:
    client = project.client
    store_id, ids = await store_of(client, a="Apples.", b="Pears.")

    deleted = await client.vector_stores.delete(store_id)

    async with http.session(project) as session:
        for path in ("", "/files", f"/files/{ids['a']}", f"/files/{ids['a']}/content"):
            assert (await session.get(f"/vector_stores/{store_id}{path}")).status_code == 404
        assert (await session.post(f"/vector_stores/{store_id}/search", json={"query": "apples"})).status_code == 404
        assert (await session.delete(f"/vector_stores/{store_id}")).status_code == 404
    assert deleted.deleted
    assert (await client.files.retrieve(ids["a"])).filename == "a.txt"
    for table in ("vector_store_files", "vector_store_batches", "chunks"):
        left = f"SELECT count(*) FROM {table} WHERE vector_store_id = %s"
        await until(lambda left=left: system.query(left, store_id) == [(0,)])


async def test_another_projects_store_is_unknown(project: Project, system: System) -> None:
    store_id, ids = await store_of(project.client, a="Apples.")
    async with Project.of(system) as stranger, http.session(stranger) as session:
        theirs = (await session.post("/vector_stores")).json()["id"]
        requests: list[tuple[str, str, Any]] = [
            ("GET", f"/vector_stores/{store_id}", None),
            ("POST", f"/vector_stores/{store_id}", {"name": "mine"}),
            ("DELETE", f"/vector_stores/{store_id}", None),
            ("GET", f"/vector_stores/{store_id}/files", None),
            ("GET", f"/vector_stores/{store_id}/files/{ids['a']}", None),
            ("GET", f"/vector_stores/{store_id}/files/{ids['a']}/content", None),
            ("POST", f"/vector_stores/{store_id}/files/{ids['a']}", {"attributes": {}}),
            ("DELETE", f"/vector_stores/{store_id}/files/{ids['a']}", None),
            ("POST", f"/vector_stores/{store_id}/search", {"query": "apples"}),
            ("POST", f"/vector_stores/{theirs}/files", {"file_id": ids["a"]}),
            ("POST", f"/vector_stores/{theirs}/file_batches", {"file_ids": [ids["a"]]}),
            ("POST", "/vector_stores", {"file_ids": [ids["a"]]}),
            ("POST", "/assistants", {"model": "m", "tool_resources": _names(store_id)}),
            ("POST", "/threads", {"tool_resources": _names(store_id)}),
        ]
        answers = [await session.request(method, path, json=body) for method, path, body in requests]
        listed = (await session.get("/vector_stores")).json()["data"]

    assert [answer.status_code for answer in answers] == [404] * len(requests)
    assert [store["id"] for store in listed] == [theirs]
    assert (await project.client.vector_stores.retrieve(store_id)).name == ""


async def test_a_store_expires_after_its_last_use(project: Project, system: System) -> None:
    """Its chunks go, and the reading of its files stops; which files it had can still be seen."""
    client = project.client
    store_id, ids = await store_of(client, a="Apples.")
    await client.vector_stores.update(store_id, expires_after={"anchor": "last_active_at", "days": 1})
    waiting = await upload(client, "Pears.")
    system.query(
        """INSERT INTO vector_store_files (id, vector_store_id, project_id, ingestion, max_chunk_size_tokens,
             chunk_overlap_tokens, lease_owner, lease_expires_at)
           SELECT %s, id, project_id, %s, 800, 400, 'somebody', now() + interval '1 hour'
           FROM vector_stores WHERE id = %s""",
        waiting,
        f"held by {store_id}",
        store_id,
    )
    system.query("UPDATE vector_stores SET expires_at = now() - interval '1 second' WHERE id = %s", store_id)

    await until(lambda: system.query("SELECT expired_at FROM vector_stores WHERE id = %s", store_id) != [(None,)])
    shown = await client.vector_stores.retrieve(store_id)
    listed = await client.vector_stores.files.list(store_id)

    assert (shown.status, shown.usage_bytes, shown.file_counts.completed, shown.file_counts.cancelled) == (
        *("expired", 0),
        *(1, 1),
    )
    assert {file.id: file.status for file in listed.data} == {ids["a"]: "completed", waiting: "cancelled"}
    await until(lambda: system.query("SELECT count(*) FROM chunks WHERE vector_store_id = %s", store_id) == [(0,)])
    async with http.session(project) as session:
        path = f"/vector_stores/{store_id}"
        for answer in [
            await session.post(f"{path}/search", json={"query": "apples"}),
            await session.post(f"{path}/files", json={"file_id": waiting}),
            await session.get(f"{path}/files/{ids['a']}/content"),
            await session.post(path, json={"expires_after": EXPIRY}),
        ]:
            assert (answer.status_code, answer.json()["error"]["message"]) == (
                400,
                f"Vector store {store_id} has expired.",
            )


async def test_use_puts_expiry_off(project: Project, system: System) -> None:
    client = project.client
    store_id, ids = await store_of(client, a="Apples.")
    await client.vector_stores.update(store_id, expires_after={"anchor": "last_active_at", "days": 1})

    async def made_old() -> None:
        system.query(
            """UPDATE vector_stores SET last_active_at = last_active_at - interval '12 hours',
                 expires_at = expires_at - interval '12 hours' WHERE id = %s""",
            store_id,
        )

    for use in (
        lambda: client.vector_stores.search(store_id, query="apples"),
        lambda: client.vector_stores.file_batches.create(store_id, file_ids=list(ids.values())),
    ):
        await made_old()
        before = await client.vector_stores.retrieve(store_id)
        await use()
        after = await client.vector_stores.retrieve(store_id)

        assert before.last_active_at is not None
        assert after.last_active_at is not None
        assert after.last_active_at - before.last_active_at >= 12 * 60 * 60
        assert after.expires_at == after.last_active_at + DAY


def _static(size: int, overlap: int) -> Any:
    sizes = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    return {"file_id": "file-f", "chunking_strategy": {"type": "static", "static": sizes}}


def _filter(kind: str, value: Any) -> Any:
    return {"query": "q", "filters": {"type": kind, "key": "a", "value": value}}


SIZE = "chunking_strategy.static.max_chunk_size_tokens"
THRESHOLD = "ranking_options.score_threshold"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("", {"nme": "x"}, "nme"),
        ("", {"name": "x" * 257}, "name"),
        ("", {"file_ids": ["file-x"] * 501}, "file_ids"),
        ("", {"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"),
        ("", {"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
        ("", {"expires_after": {"anchor": "last_active_at", "days": 0}}, "expires_after.days"),
        ("", {"metadata": {"a": 1}}, "metadata.a"),
        ("", {"chunking_strategy": {"type": "other"}}, "chunking_strategy.type"),
        ("/{store}/files", {}, "file_id"),
        ("/{store}/files", {"file_id": "file-f", "chunking_strategy": {"type": "static"}}, "chunking_strategy.static"),
        ("/{store}/files", _static(99, 40), SIZE),
        ("/{store}/files", _static(4097, 40), SIZE),
        ("/{store}/files", _static(100, 51), "chunking_strategy.static"),
        ("/{store}/files", {"file_id": "file-f", "attributes": {"a": []}}, "attributes.a"),
        ("/{store}/files", {"file_id": "file-f", "attributes": {"a": "x" * 513}}, "attributes.a"),
        ("/{store}/files", {"file_id": "file-f", "attributes": {str(n): n for n in range(17)}}, "attributes"),
        ("/{store}/file_batches", {}, None),
        ("/{store}/file_batches", {"file_ids": []}, "file_ids"),
        ("/{store}/file_batches", {"file_ids": ["file-f"] * 2001}, "file_ids"),
        ("/{store}/file_batches", {"file_ids": ["file-f"], "files": [{"file_id": "file-f"}]}, None),
        ("/{store}/file_batches", {"files": [{"file_id": "file-f"}], "attributes": {"a": 1}}, None),
        ("/{store}/file_batches", {"files": [{"file_id": "file-f"}, {"file_id": "file-f"}]}, None),
        ("/{store}/search", {}, "query"),
        ("/{store}/search", {"query": []}, "query"),
        ("/{store}/search", {"query": "q", "max_num_results": 51}, "max_num_results"),
        ("/{store}/search", {"query": "q", "max_num_results": 0}, "max_num_results"),
        ("/{store}/search", {"query": "q", "rewrite_query": True}, "rewrite_query"),
        ("/{store}/search", {"query": "q", "ranking_options": {"ranker": "best"}}, "ranking_options.ranker"),
        ("/{store}/search", {"query": "q", "ranking_options": {"score_threshold": 1.1}}, THRESHOLD),
        ("/{store}/search", _filter("like", "b"), "filters.type"),
        ("/{store}/search", _filter("eq", {}), "filters"),
        ("/{store}/search", _filter("gt", value=True), "filters"),
        ("/{store}/search", _filter("in", []), "filters"),
        ("/{store}/search", {"query": "q", "filters": {"type": "and", "filters": []}}, "filters.filters"),
    ],
)
async def test_what_is_refused(client: httpx2.AsyncClient, path: str, body: Any, param: str | None) -> None:
    store = (await client.post("/vector_stores")).json()["id"]

    answer = await client.post(f"/vector_stores{path.format(store=store)}", json=body)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param, answer.text


@pytest.mark.parametrize("depth", [33, 300])
async def test_filters_nested_too_deeply(client: httpx2.AsyncClient, depth: int) -> None:
    store = (await client.post("/vector_stores")).json()["id"]
    condition: Any = {"type": "eq", "key": "a", "value": 1}
    for _ in range(depth):
        condition = {"type": "and", "filters": [condition]}

    answer = await client.post(f"/vector_stores/{store}/search", json={"query": "q", "filters": condition})

    assert answer.status_code == 400


def _names(store_id: str) -> Any:
    return {"file_search": {"vector_store_ids": [store_id]}}
