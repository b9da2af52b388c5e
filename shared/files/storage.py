"""Where bytes live: one small protocol, and the local directory that is its default form."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from shared.database import REFUSED, Row

CHUNK = 1024 * 1024  # bytes held in memory at once


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of bytes once they are stored."""

    bytes: int
    sha256: str


class BlobStore(Protocol):
    """Bytes by key. A key is an id of ours: no separators, no dots."""

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> Stored:
        """Store bytes: all of them, or none if `chunks` raises or the process dies."""
        ...

    def open(self, key: str) -> AsyncIterator[bytes]:
        """The bytes, in chunks. Raises FileNotFoundError at the first one."""
        ...

    async def delete(self, key: str) -> None:
        """Forget the bytes; doing it twice is harmless."""
        ...


async def keep_if_written(store: BlobStore, key: str, writing: Awaitable[Row | None]) -> Row | None:
    """The row that is written for these bytes. If there is none the bytes go too; where that isn't known, because the
    connection broke or we were cut off, they stay: better bytes that nobody refers to than a file without any.
    """
    try:
        row = await writing
    except REFUSED:
        await store.delete(key)
        raise
    if row is None:
        await store.delete(key)
    return row


class LocalStore:
    """Files in a directory, in 4,096 folders. A file appears under its name only when it is complete and on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> Stored:
        """Write to a file of another name, sync, rename."""
        path = self._path(key)
        part = path.with_suffix(".part")
        sha, size = hashlib.sha256(), 0
        file = await asyncio.to_thread(_create, part)
        try:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
                sha.update(chunk)
                size += len(chunk)
            await asyncio.to_thread(_finish, file, part, path)
        except BaseException:
            file.close()
            part.unlink(missing_ok=True)
            raise
        return Stored(size, sha.hexdigest())

    async def open(self, key: str) -> AsyncIterator[bytes]:
        """Read in chunks of `CHUNK` bytes."""
        file = await asyncio.to_thread(self._path(key).open, "rb")
        try:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk
        finally:
            file.close()

    async def delete(self, key: str) -> None:
        """Unlink the file."""
        await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    def _path(self, key: str) -> Path:
        folder = hashlib.sha256(key.encode()).hexdigest()[:3]
        return self._root / folder / key


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _finish(file: BinaryIO, part: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.rename(path)
