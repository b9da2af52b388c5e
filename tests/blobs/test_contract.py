"""What every store promises: whole or not at all."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from shared import ids
from shared.files.s3 import PART
from shared.files.storage import CHUNK, BlobStore

SIZES = [0, 1, CHUNK, CHUNK + 1, PART - 1, PART, PART + 1, 2 * PART + CHUNK // 2]


def content(size: int) -> bytes:
    """Bytes of which no two stretches are alike."""
    return hashlib.shake_128(b"x").digest(size)


async def pieces(whole: bytes, size: int = CHUNK) -> AsyncIterator[bytes]:
    for first in range(0, len(whole), size):
        yield whole[first : first + size]


async def everything(store: BlobStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.open(key)])


async def keys(store: BlobStore) -> set[str]:
    return {blob.key async for blob in store.list()}


async def unfinished(store: BlobStore) -> int:
    """What was left half stored; it is forgotten by being counted."""
    return await store.forget_unfinished(datetime.now(UTC) + timedelta(hours=1))


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_come_back(store: BlobStore, size: int) -> None:
    key, whole = ids.new("file"), content(size)

    stored = await store.put(key, pieces(whole, 700_001))

    assert (stored.bytes, stored.sha256) == (size, hashlib.sha256(whole).hexdigest())
    chunks = [chunk async for chunk in store.open(key)]
    assert b"".join(chunks) == whole
    assert all(0 < len(chunk) <= CHUNK for chunk in chunks)


@pytest.mark.parametrize("span", [(0, None), (0, 1), (5, 6), (CHUNK - 1, CHUNK + 1), (PART + 1, None), (PART, PART)])
async def test_a_range_comes_back(store: BlobStore, span: tuple[int, int | None]) -> None:
    key, whole = ids.new("file"), content(PART + 10)
    await store.put(key, pieces(whole))

    assert b"".join([chunk async for chunk in store.open_range(key, *span)]) == whole[slice(*span)]


@pytest.mark.parametrize("size", [10, 2 * PART + 10])
async def test_half_a_file_leaves_nothing(store: BlobStore, size: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for piece in pieces(content(size)):
            yield piece
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put(ids.new("file"), broken())

    assert await keys(store) == set()
    assert await unfinished(store) == 0


@pytest.mark.parametrize("size", [10, 2 * PART + 10])
async def test_a_cancelled_put_leaves_nothing(store: BlobStore, size: int) -> None:
    stuck = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for piece in pieces(content(size)):
            yield piece
        stuck.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(store.put(ids.new("file"), endless()))
    await stuck.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting

    assert await keys(store) == set()
    assert await unfinished(store) == 0


async def test_what_is_not_there_is_not_found(store: BlobStore) -> None:
    with pytest.raises(FileNotFoundError):
        await anext(store.open(ids.new("file")))
    with pytest.raises(FileNotFoundError):
        await anext(store.open_range(ids.new("file"), 3, 5))
    assert await keys(store) == set()


async def test_deleted_twice_is_deleted(store: BlobStore) -> None:
    key = ids.new("file")
    await store.put(key, pieces(b"x"))

    await store.delete(key)
    await store.delete(key)

    with pytest.raises(FileNotFoundError):
        await anext(store.open(key))


async def test_everything_is_listed_with_its_age(store: BlobStore) -> None:
    began = datetime.now(UTC) - timedelta(seconds=2)
    made = {ids.new(kind) for kind in ("file", "part") for _ in range(20)}
    for key in made:
        await store.put(key, pieces(b"x"))

    blobs = [blob async for blob in store.list()]

    assert sorted(blob.key for blob in blobs) == sorted(made)
    assert all(began < blob.stored_at < datetime.now(UTC) + timedelta(seconds=2) for blob in blobs)


async def test_many_at_once(store: BlobStore) -> None:
    files = {ids.new("file"): content(number * 300_000) for number in range(12)}

    await asyncio.gather(*(store.put(key, pieces(whole)) for key, whole in files.items()))
    read = await asyncio.gather(*(everything(store, key) for key in files))

    assert read == list(files.values())


async def test_reading_may_stop_anywhere(store: BlobStore) -> None:
    key = ids.new("file")
    await store.put(key, pieces(content(3 * CHUNK)))
    for _ in range(5):
        chunks = store.open_range(key, 0, None)
        await anext(chunks)
        await chunks.aclose()

    assert len(await everything(store, key)) == 3 * CHUNK
