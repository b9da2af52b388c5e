"""Files in vector stores: each reaches a truthful end, and what is put in, changed or taken out has its effect."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI

from tests import http
from tests.system import Project, System, until
from tests.vector_stores import POLL_MS, store_of, upload


@pytest.fixture
def client(project: Project) -> AsyncOpenAI:
    return project.client


@pytest.fixture
async def session(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as opened:
        yield opened


async def added(client: AsyncOpenAI, store_id: str, file_id: str, **more: Any) -> Any:
    return await client.vector_stores.files.create_and_poll(
        file_id, vector_store_id=store_id, poll_interval_ms=POLL_MS, **more
    )


async def test_a_file_in_a_store_is_the_file(client: AsyncOpenAI, session: httpx2.AsyncClient) -> None:
    store = await client.vector_stores.create()
    file_id = await upload(client, "Apples keep.")

    created = await session.post(f"/vector_stores/{store.id}/files", json={"file_id": file_id})
    await client.vector_stores.files.poll(file_id, vector_store_id=store.id, poll_interval_ms=POLL_MS)
    got = await session.get(f"/vector_stores/{store.id}/files/{file_id}")

    assert created.headers["openai-poll-after-ms"] == got.headers["openai-poll-after-ms"] == "250"
    assert created.json() | {"status": "completed", "usage_bytes": 12} == got.json()
    assert got.json() == {
        "id": file_id,
        "object": "vector_store.file",
        "usage_bytes": 12,
        "created_at": created.json()["created_at"],
        "vector_store_id": store.id,
        "status": "completed",
        "last_error": None,
        "chunking_strategy": {
            "type": "static",
            "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
        },
        "attributes": {},
    }


async def test_chunks_have_the_sizes_asked_for(
    client: AsyncOpenAI, session: httpx2.AsyncClient, system: System
) -> None:
    store = await client.vector_stores.create()
    text = " ".join(f"word{number}" for number in range(500))
    file_id = await upload(client, text)

    await added(
        client,
        store.id,
        file_id,
        chunking_strategy={"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 0}},
    )

    more = await session.get(f"/vector_stores/{store.id}/files/{file_id}?assistantd=true")
    content = await client.vector_stores.files.content(file_id, vector_store_id=store.id)
    assert more.json()["assistantd"] == {
        "stage": "read",
        "format": "text",
        "pages": None,
        "pages_read": 0,
        "pages_unread": 0,
        "chunks": len(content.data),
        "chunks_embedded": 0,
    }
    sizes = system.query(
        "SELECT tokens, begins, ends FROM chunks WHERE vector_store_id = %s ORDER BY position", store.id
    )
    assert "".join(part.text or "" for part in content.data) == text
    assert [size for size, _, _ in sizes[:-1]] == [200] * (len(sizes) - 1)
    assert [(begins, ends) for _, begins, ends in sizes][-1][1] == len(text)


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("a.pdf", b"%PDF-1.7", "invalid_file", "The PDF is damaged or was cut off"),
        ("a.docx", b"PK", "invalid_file", "its content isn't docx"),
        ("a.bin", b"\x00\x01\x02", "unsupported_file", "binary, and of no known kind"),
        ("a.txt", b"  ", "invalid_file", "no text in it"),
    ],
)
async def test_what_cant_be_read_fails_and_says_why(
    client: AsyncOpenAI, session: httpx2.AsyncClient, name: str, content: bytes, code: str, said: str
) -> None:
    store = await client.vector_stores.create()
    file_id = await upload(client, content, name)

    file = await added(client, store.id, file_id)

    answer = await session.get(f"/vector_stores/{store.id}/files/{file_id}/content")
    assert (file.status, file.last_error.code) == ("failed", code)
    assert said in file.last_error.message
    assert answer.status_code == 400
    assert "while its status is 'failed'" in answer.json()["error"]["message"]
    assert (await client.vector_stores.retrieve(store.id)).file_counts.failed == 1


async def test_lists_by_status_and_place(client: AsyncOpenAI) -> None:
    store_id, ids = await store_of(client, **{f"f{number}": f"Apples {number}." for number in range(5)})
    bad = await upload(client, b"\x00", "bad.bin")
    await added(client, store_id, bad)
    files, order = client.vector_stores.files, list(ids.values())

    async def listed(**how: Any) -> list[str]:
        return [file.id for file in (await files.list(store_id, **how)).data]

    assert await listed(order="asc") == [*order, bad]
    assert await listed() == [bad, *order[::-1]]
    assert await listed(filter="completed", order="asc") == order
    assert await listed(filter="failed") == [bad]
    assert await listed(filter="in_progress") == await listed(filter="cancelled") == []
    assert await listed(order="asc", after=order[1], limit=2) == order[2:4]
    assert await listed(order="asc", before=order[3], limit=2) == order[1:3]
    assert await listed(order="asc", after=order[0], before=order[3]) == order[1:3]


async def test_a_cursor_keeps_its_place_when_its_status_changes(client: AsyncOpenAI) -> None:
    """As clients see that page through what is in progress."""
    store_id, ids = await store_of(client, **{f"f{number}": f"Apples {number}." for number in range(4)})
    bad = await upload(client, b"\x00", "bad.bin")
    await added(client, store_id, bad)
    await added(client, store_id, ids["f0"])  # now the newest, but not by its id

    async def listed(**how: Any) -> list[str]:
        return [file.id for file in (await client.vector_stores.files.list(store_id, **how)).data]

    assert await listed(filter="completed", after=bad) == [ids["f3"], ids["f2"], ids["f1"]]
    assert await listed(filter="completed", before=bad) == [ids["f0"]]
    assert await listed(filter="failed", after=ids["f0"]) == [bad]


async def test_everything_can_be_taken_out_page_by_page(client: AsyncOpenAI) -> None:
    """As clients do that empty a store: the cursor's own file is gone when the next page is asked for."""
    store_id, ids = await store_of(client, **{f"f{number}": f"Apples {number}." for number in range(5)})
    for name in ("f3", "f0"):  # the order in which they were put in is not that of their uploads
        await added(client, store_id, ids[name])

    taken = [
        file.id
        async for file in client.vector_stores.files.list(store_id, limit=2)
        if await _out(client, store_id, file.id)
    ]

    assert taken == [ids[name] for name in ("f0", "f3", "f4", "f2", "f1")]
    assert (await client.vector_stores.retrieve(store_id)).file_counts.total == 0


async def test_a_place_outlives_the_file_itself(
    client: AsyncOpenAI, session: httpx2.AsyncClient, system: System
) -> None:
    store_id, ids = await store_of(client, a="Apples.", b="Pears.", c="Plums.")
    await added(client, store_id, ids["a"])
    path = f"/vector_stores/{store_id}/files"

    await client.files.delete(ids["a"])
    left = [file.id for file in (await client.vector_stores.files.list(store_id, after=ids["a"])).data]
    unknown = await session.get(path, params={"after": ids["a"][:-3] + "xyz"})
    await client.vector_stores.delete(store_id)

    places = "SELECT id FROM vector_store_files_removed WHERE vector_store_id = %s"
    assert left == [ids["c"], ids["b"]]
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "after")
    assert system.query(places, store_id) == [(ids["a"],)]


async def _out(client: AsyncOpenAI, store_id: str, file_id: str) -> bool:
    return (await client.vector_stores.files.delete(file_id, vector_store_id=store_id)).deleted


async def test_attributes_are_replaced(client: AsyncOpenAI, session: httpx2.AsyncClient) -> None:
    store_id, ids = await store_of(client, a="Apples.")
    path = f"/vector_stores/{store_id}/files/{ids['a']}"

    changed = (await session.post(path, json={"attributes": {"n": 1, "x": 1.5, "s": "t", "b": True}})).json()
    emptied = (await session.post(path, json={"attributes": None})).json()

    assert changed["attributes"] == {"n": 1, "x": 1.5, "s": "t", "b": True}
    assert (emptied["attributes"], emptied["status"]) == ({}, "completed")


async def test_a_file_that_is_put_in_again_is_read_anew(client: AsyncOpenAI, system: System) -> None:
    store_id, ids = await store_of(client, a="word " * 400, b="Pears.")
    small: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}

    file = await added(client, store_id, ids["a"], attributes={"again": True}, chunking_strategy=small)

    chunks = "SELECT count(*) FROM chunks JOIN vector_store_files USING (ingestion) WHERE id = %s"
    assert (file.status, file.attributes) == ("completed", {"again": True})
    assert system.query(chunks, ids["a"]) == [(5,)]
    assert (await client.vector_stores.retrieve(store_id)).file_counts.total == 2


async def test_a_deleted_file_leaves_every_store(client: AsyncOpenAI, system: System) -> None:
    store_id, ids = await store_of(client, a="Apples.", b="Pears.")
    other = await client.vector_stores.create(file_ids=[ids["a"]])

    await client.files.delete(ids["a"])

    assert [file.id for file in (await client.vector_stores.files.list(store_id)).data] == [ids["b"]]
    assert (await client.vector_stores.files.list(other.id)).data == []
    assert (await client.vector_stores.search(store_id, query="apples")).data == []
    await until(lambda: system.query("SELECT count(*) FROM chunks WHERE vector_store_id = %s", store_id) == [(1,)])


async def test_the_same_id_twice_is_one_file(client: AsyncOpenAI) -> None:
    store_id, ids = await store_of(client, a="Apples.")
    batch = await client.vector_stores.file_batches.create_and_poll(
        store_id, file_ids=[ids["a"], ids["a"]], poll_interval_ms=POLL_MS
    )
    assert (batch.status, batch.file_counts.total) == ("completed", 1)


async def test_files_of_a_batch_have_their_own_settings(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create()
    one, two = await upload(client, "Apples."), await upload(client, "Pears.")
    static: Any = {"type": "static", "static": {"max_chunk_size_tokens": 300, "chunk_overlap_tokens": 10}}

    batch = await client.vector_stores.file_batches.create_and_poll(
        store.id,
        files=[{"file_id": one, "attributes": {"n": 1}, "chunking_strategy": static}, {"file_id": two}],
        poll_interval_ms=POLL_MS,
    )

    files = {
        f.id: f for f in (await client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)).data
    }
    assert batch.file_counts.completed == 2
    assert (files[one].attributes, files[two].attributes) == ({"n": 1}, {})
    assert [_size(files[one]), _size(files[two])] == [300, 800]


def _size(file: Any) -> int:
    return file.chunking_strategy.static.max_chunk_size_tokens


async def test_an_unknown_file_refuses_the_whole_batch(client: AsyncOpenAI, session: httpx2.AsyncClient) -> None:
    store = await client.vector_stores.create()
    one = await upload(client, "Apples.")

    answer = await session.post(f"/vector_stores/{store.id}/file_batches", json={"file_ids": [one, "file-unknown"]})

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "No file found with id 'file-unknown'."
    assert (await client.vector_stores.retrieve(store.id)).file_counts.total == 0


async def test_a_lost_ring_is_rung_again(client: AsyncOpenAI, project: Project, system: System) -> None:
    store = await client.vector_stores.create()
    file_id = await upload(client, "Apples.")

    system.query(
        """INSERT INTO vector_store_files (id, vector_store_id, project_id, ingestion, max_chunk_size_tokens,
             chunk_overlap_tokens) SELECT %s, id, project_id, %s, 800, 400 FROM vector_stores WHERE id = %s""",
        file_id,
        f"rung for by nobody in {store.id}",
        store.id,
    )

    polled = await client.vector_stores.files.poll(file_id, vector_store_id=store.id, poll_interval_ms=POLL_MS)
    assert polled.status == "completed"
    assert project.key


async def test_a_request_that_is_repeated_is_done_once(client: AsyncOpenAI, session: httpx2.AsyncClient) -> None:
    file_id = await upload(client, "Apples.")
    body = {"file_ids": [file_id]}

    first = await session.post("/vector_stores", json=body, headers={"idempotency-key": file_id})
    again = await session.post("/vector_stores", json=body, headers={"idempotency-key": file_id})

    assert first.json() == again.json()
    polled = await client.vector_stores.files.poll(
        file_id, vector_store_id=first.json()["id"], poll_interval_ms=POLL_MS
    )
    assert polled.status == "completed"


async def test_many_files_are_all_read(client: AsyncOpenAI, system: System) -> None:
    """Far more than there are slots, of one ring each at most."""
    store_id, ids = await store_of(client, **{f"f{number}": f"Apples {number}." for number in range(40)})
    await until(
        lambda: system.query("SELECT count(*) FROM chunks WHERE vector_store_id = %s", store_id) == [(len(ids),)]
    )
