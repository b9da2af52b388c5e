"""Blobs: whole or not at all."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.files.storage import LocalStore


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_bytes_come_back(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    stored = await store.put("file-1", pieces(b"one", b"two"))

    assert (stored.bytes, stored.sha256) == (6, hashlib.sha256(b"onetwo").hexdigest())
    assert b"".join([chunk async for chunk in store.open("file-1")]) == b"onetwo"


async def test_half_an_upload_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await LocalStore(tmp_path).put("file-1", broken())

    assert not any(path.is_file() for path in list(tmp_path.rglob("*")))  # noqa: ASYNC240 # a look, after the fact


async def test_deleted_twice_is_deleted(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    await store.put("file-1", pieces(b"x"))

    await store.delete("file-1")
    await store.delete("file-1")

    with pytest.raises(FileNotFoundError):
        await anext(store.open("file-1"))
