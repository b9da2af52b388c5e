"""Where bytes live: one small protocol, and the local directory that is its default form (`s3.py` is the other).

A store may hold bytes that nobody refers to, because a process died between bytes and row, or a deletion was cut off:
`orphans.py` looks for them. It relies on `STORED_WITHIN`: whoever stores bytes for longer gives up.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, Self

import structlog

from shared import ids
from shared.database import REFUSED, Row
from shared.errors import AssistantdError

log = structlog.get_logger(__name__)

CHUNK = 1024 * 1024  # bytes held in memory at once

STORED_WITHIN = timedelta(hours=6)
"""How long one `put` may take. Far less than the age at which bytes without a row count as left behind."""


class StoreUnavailable(OSError):
    """The store can't be reached, is full, or refuses us: nothing that the client could do something about."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of bytes once they are stored."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that are in the store, and when they were put there, by the store's clock."""

    key: str
    stored_at: datetime


class BlobStore(Protocol):
    """Bytes by key. A key is an id of ours: no separators, no dots. Every method may raise StoreUnavailable."""

    def owned_by(self, project_id: str) -> Self:
        """The same store, for what is put in on behalf of that project."""
        ...

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> Stored:
        """Store bytes: all of them, or none if `chunks` raises or the process dies."""
        ...

    def open(self, key: str) -> AsyncIterator[bytes]:
        """The bytes, in chunks. Raises FileNotFoundError at the first one."""
        ...

    def open_range(self, key: str, begin: int, end: int | None) -> AsyncGenerator[bytes]:
        """The bytes from `begin` up to before `end`, or to the last; like `open`. Whoever stops early closes it."""
        ...

    async def delete(self, key: str) -> None:
        """Forget the bytes; doing it twice is harmless."""
        ...

    def list(self) -> AsyncIterator[Blob]:
        """Everything that was stored whole, in no order, page by page. What is not ours is left out."""
        ...

    async def forget_unfinished(self, before: datetime) -> int:
        """Forget what dead processes left of a `put` begun before then; returns of how many."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def place(key: str) -> PurePosixPath:
    """Where a key's bytes are, in every store: one of 4,096 folders, so that a store can be copied into another."""
    return PurePosixPath(hashlib.sha256(key.encode()).hexdigest()[:3]) / key


def is_ours(path: PurePosixPath) -> bool:
    """Could we have put it there, be it under an id that was imported? Whatever else lies in a store is none of our
    business.
    """
    key = path.name
    return path == place(key) and (ids.is_foreign(key, "file") or ids.is_well_formed(key, "part"))


async def keep_if_written(store: BlobStore, key: str, writing: Awaitable[Row | None]) -> Row | None:
    """The row that is written for these bytes. If there is none the bytes go too; where that isn't known, because the
    connection broke or we were cut off, they stay: better bytes that nobody refers to than a file without any.
    """
    try:
        row = await writing
    except (*REFUSED, AssistantdError):
        await discard(store, key)
        raise
    if row is None:
        await discard(store, key)
    return row


async def discard(store: BlobStore, key: str) -> None:
    """Forget bytes that no row refers to; if the store is away they are left for `orphans.py`."""
    try:
        await store.delete(key)
    except StoreUnavailable as error:
        log.warning("files.bytes_left", key=key, error=str(error))


@asynccontextmanager
async def in_time() -> AsyncGenerator[None]:
    """Around the whole of a `put`. Raises StoreUnavailable after `STORED_WITHIN`."""
    limit = asyncio.timeout(STORED_WITHIN.total_seconds())
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise StoreUnavailable("storing the bytes took too long") from None


class LocalStore:
    """Files in a directory. A file appears under its name only when it is complete and on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def owned_by(self, project_id: str) -> Self:
        """It is all the same to us whose they are."""
        del project_id
        return self

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> Stored:
        """Write to a file of another name, sync, rename."""
        path = self._path(key)
        part = path.with_suffix(".part")
        sha, size = hashlib.sha256(), 0
        with _disk():
            file = await asyncio.to_thread(_create, part)
        try:
            async with in_time():
                async for chunk in chunks:
                    with _disk():
                        await asyncio.to_thread(file.write, chunk)
                    sha.update(chunk)
                    size += len(chunk)
                with _disk():
                    await asyncio.to_thread(_finish, file, part, path)
        except BaseException:
            with suppress(OSError):  # the disk is full: closing tries to write the rest
                file.close()
            part.unlink(missing_ok=True)
            raise
        return Stored(size, sha.hexdigest())

    async def open(self, key: str) -> AsyncIterator[bytes]:
        """Read in chunks of `CHUNK` bytes."""
        async with aclosing(self.open_range(key, 0, None)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def open_range(self, key: str, begin: int, end: int | None) -> AsyncGenerator[bytes]:
        """Read in chunks of `CHUNK` bytes."""
        with _disk():
            file = await asyncio.to_thread(_open_at, self._path(key), begin)
        left = None if end is None else end - begin
        try:
            while left is None or left > 0:
                with _disk():
                    chunk = await asyncio.to_thread(file.read, CHUNK if left is None else min(CHUNK, left))
                if not chunk:
                    return
                left = None if left is None else left - len(chunk)
                yield chunk
        finally:
            file.close()

    async def delete(self, key: str) -> None:
        """Unlink the file."""
        with _disk():
            await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    async def list(self) -> AsyncIterator[Blob]:
        """Folder by folder."""
        async for path, changed_at in self._files():
            if is_ours(path):
                yield Blob(path.name, changed_at)

    async def forget_unfinished(self, before: datetime) -> int:
        """Unlink what was last written to before then under its other name."""
        count = 0
        async for path, changed_at in self._files():
            if path.suffix == ".part" and is_ours(path.with_suffix("")) and changed_at < before:
                with _disk():
                    await asyncio.to_thread((self._root / path).unlink, missing_ok=True)
                count += 1
        return count

    async def close(self) -> None:
        """Nothing is held."""

    async def _files(self) -> AsyncIterator[tuple[PurePosixPath, datetime]]:
        """Path below the root, and last change, of every file."""
        with _disk():
            folders = await asyncio.to_thread(_names, self._root)
        for folder in folders:
            with _disk():
                files = await asyncio.to_thread(_changes, self._root / folder)
            for name, changed_at in files:
                yield PurePosixPath(folder, name), changed_at

    def _path(self, key: str) -> Path:
        return self._root / place(key)


@contextmanager
def _disk() -> Generator[None]:
    """Around what is asked of the operating system. Raises StoreUnavailable, or FileNotFoundError as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreUnavailable(os.strerror(error.errno or 0)) from error


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _finish(file: BinaryIO, part: Path, path: Path) -> None:
    """Content first, then the name: a row that is committed after this has its bytes, also after a power cut."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_at(path: Path, begin: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(begin)
    return file


def _names(root: Path) -> list[str]:
    """Of the folders; none if there is no root yet."""
    try:
        return [entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _changes(folder: Path) -> list[tuple[str, datetime]]:
    """Names and last changes of a folder's files; one that goes meanwhile is left out."""
    found: list[tuple[str, datetime]] = []
    for entry in os.scandir(folder):
        try:
            found.append((entry.name, datetime.fromtimestamp(entry.stat().st_mtime, UTC)))
        except FileNotFoundError:
            continue
    return found
