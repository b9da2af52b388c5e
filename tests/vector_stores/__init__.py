"""What tests of vector stores have in common."""

from typing import Any

from openai import AsyncOpenAI

POLL_MS: Any = 20


async def upload(client: AsyncOpenAI, text: str | bytes, name: str = "notes.txt") -> str:
    """A new file; its id."""
    file = await client.files.create(
        file=(name, text.encode() if isinstance(text, str) else text), purpose="assistants"
    )
    return file.id


async def store_of(client: AsyncOpenAI, **texts: str) -> tuple[str, dict[str, str]]:
    """A store whose files have been read, and the files' ids by name."""
    store = await client.vector_stores.create()
    ids = {name: await upload(client, text, f"{name}.txt") for name, text in texts.items()}
    batch = await client.vector_stores.file_batches.create_and_poll(
        store.id, file_ids=list(ids.values()), poll_interval_ms=POLL_MS
    )
    assert batch.file_counts.completed == len(texts), batch
    return store.id, ids
