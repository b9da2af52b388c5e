"""Vector stores driven by the official client, each answer held against OpenAI's schema."""

from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from tests.conformance.clients import V2
from tests.conformance.conftest import Programs
from tests.conformance.schema.recorder import Recorder
from tests.system import System

ATTRIBUTES: dict[str, str | float | bool] = {"author": "Ada", "year": 1843, "draft": False, "grade": 1.5}


async def uploaded(client: AsyncOpenAI, name: str, content: bytes) -> str:
    return (await client.files.create(file=(name, content), purpose="assistants")).id


async def test_stores(client: AsyncOpenAI, recorder: Recorder) -> None:
    stores = client.vector_stores
    file_id = await uploaded(client, "a.md", b"# Apples\n\nThey keep for months.")
    bare = await stores.create()
    full = await stores.create(
        name="Fruit",
        description="What keeps.",
        file_ids=[file_id],
        chunking_strategy={"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}},
        expires_after={"anchor": "last_active_at", "days": 7},
        metadata={"a": "b"},
    )

    await stores.retrieve(bare.id)
    await stores.update(full.id, name="Fruits", expires_after=None, metadata={})
    await stores.update(bare.id, expires_after={"anchor": "last_active_at", "days": 1})
    await stores.list()
    empty = await stores.list(after=bare.id)
    await stores.delete(bare.id)

    assert empty.data == []
    assert recorder.seen >= {("vector_store", "completed"), ("list", ""), ("vector_store.deleted", "")}


async def test_files_and_batches(client: AsyncOpenAI, recorder: Recorder) -> None:
    stores = client.vector_stores
    store = await stores.create()
    good = await uploaded(client, "good.txt", b"Apples keep for months.")
    bad = await uploaded(client, "bad.pdf", b"%PDF-1.7")

    read = await stores.files.create_and_poll(good, vector_store_id=store.id, attributes=ATTRIBUTES)
    batch = await stores.file_batches.create_and_poll(store.id, file_ids=[bad])
    mixed = await stores.file_batches.create_and_poll(
        store.id,
        files=[
            {"file_id": good, "attributes": {"n": 1}},
            {"file_id": bad, "chunking_strategy": {"type": "auto"}},
        ],
    )
    await stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
    of_batch = await stores.file_batches.list_files(mixed.id, vector_store_id=store.id)
    failed = await stores.files.list(store.id, filter="failed")
    await stores.files.update(good, vector_store_id=store.id, attributes=ATTRIBUTES)
    content = await stores.files.content(good, vector_store_id=store.id)
    found = await stores.search(
        store.id, query="How long do apples keep?", filters={"type": "eq", "key": "year", "value": 1843}
    )
    await stores.search(store.id, query=["pears", "plums"], ranking_options={"ranker": "auto", "score_threshold": 0.5})
    await stores.retrieve(store.id)
    with pytest.raises(BadRequestError):
        await stores.file_batches.cancel(mixed.id, vector_store_id=store.id)
    await stores.files.delete(good, vector_store_id=store.id)
    with pytest.raises(NotFoundError):
        await stores.files.retrieve(good, vector_store_id=store.id)

    assert (read.status, read.attributes) == ("completed", ATTRIBUTES)
    assert (batch.status, batch.file_counts.failed) == ("failed", 1)
    assert (mixed.status, mixed.file_counts.failed, mixed.file_counts.completed) == ("completed", 1, 1)
    assert {file.id for file in of_batch.data} == {good, bad}
    assert [file.id for file in failed.data] == [bad]
    assert [part.text for part in content.data] == ["Apples keep for months."]
    assert [(hit.file_id, hit.filename, hit.attributes) for hit in found.data] == [(good, "good.txt", ATTRIBUTES)]
    assert recorder.seen >= {
        ("vector_store.file", "completed"),
        ("vector_store.file", "failed"),
        ("vector_store.files_batch", "completed"),
        ("vector_store.files_batch", "failed"),
        ("vector_store.file_content.page", ""),
        ("vector_store.search_results.page", ""),
        ("vector_store.file.deleted", ""),
        ("error", ""),
    }


async def test_a_cancelled_batch(client: AsyncOpenAI, recorder: Recorder, system: System) -> None:
    """A worker that never comes back holds its file."""
    stores = client.vector_stores
    store = await stores.create()
    file_id = await uploaded(client, "a.txt", b"Apples.")
    batch = await stores.file_batches.create_and_poll(store.id, file_ids=[file_id])
    system.query(
        """UPDATE vector_store_files SET status = 'in_progress', finished_at = NULL, lease_owner = 'nobody',
             lease_expires_at = now() + interval '1 hour' WHERE batch_id = %s""",
        batch.id,
    )

    waiting = await stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
    busy = await stores.retrieve(store.id)
    cancelled = await stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    again = await stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    file = await stores.files.retrieve(file_id, vector_store_id=store.id)

    assert (waiting.status, busy.status, file.status) == ("in_progress", "in_progress", "cancelled")
    assert (cancelled.status, cancelled.file_counts.cancelled) == ("cancelled", 1)
    assert again == cancelled
    assert recorder.seen >= {("vector_store.files_batch", "cancelled"), ("vector_store.file", "cancelled")}


async def test_stores_that_come_with_assistants_and_threads(client: AsyncOpenAI) -> None:
    """What is made is named, under `vector_store_ids`; a thread's store is forgotten a week after its last use."""
    beta, stores = client.beta, client.vector_stores
    file_id = await uploaded(client, "a.txt", b"Apples.")
    described: Any = {"file_search": {"vector_stores": [{"file_ids": [file_id], "metadata": {"a": "b"}}]}}

    assistant = await beta.assistants.create(model="m", tools=[{"type": "file_search"}], tool_resources=described)
    thread = await beta.threads.create(tool_resources=described)
    made = [
        await stores.retrieve(resources.file_search.vector_store_ids[0])
        for resources in (assistant.tool_resources, thread.tool_resources)
        if resources and resources.file_search and resources.file_search.vector_store_ids
    ]
    await beta.assistants.update(assistant.id, tool_resources={"file_search": {"vector_store_ids": [made[1].id]}})
    await beta.threads.update(thread.id, tool_resources={"file_search": {"vector_store_ids": [made[0].id]}})

    assert [store.metadata for store in made] == [{"a": "b"}, {"a": "b"}]
    assert [store.expires_after and store.expires_after.days for store in made] == [None, 7]
    assert all(store.file_counts.total == 1 for store in made)


# Not the oldest, which has stores under `beta`, and neither attributes nor searches: see below.
@pytest.mark.parametrize("programs", V2[1:], ids=lambda client: client.name, indirect=True)
async def test_a_program_that_searches(programs: Programs) -> None:
    """Through each SDK, as its users write."""
    facts = await programs.run("stores")

    assert facts == {
        "created": {"name": "Fruit", "days": 7, "metadata": {"shelf": "top"}},
        "updated": "Fruits",
        "listed": [True],
        "uploaded": "completed",
        "batch": ["completed", 2],
        "failed": ["failed", "invalid_file", "The PDF is damaged or was cut off."],
        "batch files": [True],
        "attributes": {"color": "red", "weight": 150},
        "content": ["Apples\n\nApples keep for months.\n\n"],
        "found": [
            ["apples.md", {"color": "red", "weight": 150}, "Apples\n\nApples keep for months.\n\n"],
            ["pears.txt", {}, "Pears keep for weeks."],
        ],
        "red": ["apples.md"],
        "counts": [3, 1, 4],
        "assistant": True,
        "left": 0,
        "kept": "apples.md",
        "deleted": "vector_store.deleted",
        "gone": True,
    }


@pytest.mark.parametrize("programs", V2[:1], ids=lambda client: client.name, indirect=True)
async def test_a_program_of_the_oldest_client(programs: Programs) -> None:
    facts = await programs.run("stores_of_beta")

    assert facts == {
        "created": {"name": "Fruit", "days": 7, "metadata": {"shelf": "top"}},
        "updated": "Fruits",
        "listed": [True],
        "uploaded": "completed",
        "batch": ["completed", 2],
        "failed": ["failed", "invalid_file"],
        "counts": [3, 1, 4],
        "assistant": True,
        "removed": 3,
        "deleted": "vector_store.deleted",
        "gone": True,
    }
