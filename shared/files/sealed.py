"""A store whose bytes are sealed on their way in and opened on their way out, each project's by a key of its own.

What was stored before there were keys is plain and read as it lies, so that both may be in a store at once.
"""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Self
from uuid import UUID

from shared.files.sealing import ESCAPE, FRAME, HEAD, MAGIC, OUTER, DamagedError, Frames, Head
from shared.files.storage import Blob, BlobStore, Stored, StoreUnavailable
from shared.vault import opened
from shared.vault.masters import NoMasterKey
from shared.vault.vault import ShreddedError, Vault


class BlobDamaged(StoreUnavailable):
    """The store works; these bytes are not those that were stored, or the data key that seals them is damaged."""


@dataclass(frozen=True, slots=True)
class SealedStore:
    """What `inner` holds, sealed if there is a vault. `project_id` is whose the bytes are that are put in."""

    inner: BlobStore
    vault: Vault | None
    project_id: str | None = None

    def owned_by(self, project_id: str) -> Self:
        """The same store, for bytes of that project."""
        return replace(self, project_id=project_id)

    @property
    def keys(self) -> Vault:
        """What it seals with. Raises LookupError if it doesn't."""
        if self.vault is None:
            raise LookupError("ASSISTANTD_ENCRYPTION_KEYS is not set")
        return self.vault

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> Stored:
        """Seal and store. What is told of the bytes is told of the content.

        Raises StoreUnavailable also where the master key of the project's key isn't at hand, or that key is damaged.
        """
        content = _Content(chunks)
        await self.inner.put(key, _told_apart(content) if self.vault is None else self._seal(self.vault, key, content))
        return Stored(content.size, content.sha.hexdigest())

    async def open(self, key: str) -> AsyncIterator[bytes]:
        """The content, in chunks."""
        async with aclosing(self.open_range(key, 0, None)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def open_range(self, key: str, begin: int, end: int | None) -> AsyncGenerator[bytes]:
        """The content from `begin` up to before `end`. Raises FileNotFoundError also where the project's key is gone,
        and StoreUnavailable where its master key isn't at hand, or the key or the bytes are not those that were stored.
        """
        if end is not None and end <= begin:
            return
        start = await self._start(key)
        told = False
        while True:
            try:
                async with aclosing(self._content(key, start, begin, end)) as chunks:
                    async for chunk in chunks:
                        told = True
                        yield chunk
            except DamagedError as error:
                newer = start if told else await self._start(key)
                if newer == start:
                    raise BlobDamaged(f"{key} is damaged: {error}") from None
                start = newer  # it was sealed anew between its head and its frames
            else:
                return

    async def sealed_by(self, key: str) -> UUID | None:
        """Which data key sealed the bytes; None if they are plain. Raises FileNotFoundError, StoreUnavailable."""
        try:
            head = _head(await self._start(key))
        except DamagedError as error:
            raise BlobDamaged(f"{key} is damaged: {error}") from None
        return head.key_id if isinstance(head, Head) else None

    async def delete(self, key: str) -> None:
        """Forget the bytes."""
        await self.inner.delete(key)

    async def list(self) -> AsyncIterator[Blob]:
        """As they lie there."""
        async for blob in self.inner.list():
            yield blob

    async def forget_unfinished(self, before: datetime) -> int:
        """Forget what dead processes left."""
        return await self.inner.forget_unfinished(before)

    async def close(self) -> None:
        """Let go of connections."""
        await self.inner.close()

    async def _start(self, key: str) -> bytes:
        return b"".join([chunk async for chunk in self.inner.open_range(key, 0, HEAD)])

    async def _content(self, key: str, start: bytes, begin: int, end: int | None) -> AsyncGenerator[bytes]:
        head = _head(start)
        if isinstance(head, Head):
            chunks = self._opened(head, key, begin, end)
        else:
            chunks = self.inner.open_range(key, head + begin, None if end is None else head + end)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def _opened(self, head: Head, key: str, begin: int, end: int | None) -> AsyncGenerator[bytes]:
        frames = Frames(head, await self._secret(head.key_id, key), key)
        first, last = begin // FRAME, None if end is None else (end - 1) // FRAME
        until = None if last is None else HEAD + (last + 1) * OUTER + 1
        skip, left = begin - first * FRAME, None if end is None else end - begin
        async with aclosing(self.inner.open_range(key, HEAD + first * OUTER, until)) as sealed:
            async for content in frames.open_all(sealed, first, last):
                piece = content[skip:] if left is None else content[skip : skip + left]
                skip = max(0, skip - len(content))
                left = None if left is None else left - len(piece)
                if piece:
                    yield piece

    async def _secret(self, key_id: UUID, key: str) -> bytes:
        if self.vault is None:
            raise StoreUnavailable(f"{key} is sealed, and ASSISTANTD_ENCRYPTION_KEYS is not set")
        try:
            return (await self.vault.find(key_id)).secret
        except ShreddedError as error:
            raise FileNotFoundError(f"{key}: {error}") from None
        except NoMasterKey as error:
            raise StoreUnavailable(str(error)) from None
        except opened.DamagedError as error:
            raise BlobDamaged(f"{key} is damaged: {error}") from None

    async def _seal(self, vault: Vault, key: str, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        if self.project_id is None:
            raise LookupError("nobody said whose bytes these are")
        try:
            data_key = await vault.current(self.project_id)
        except (NoMasterKey, ShreddedError) as error:
            raise StoreUnavailable(str(error)) from None
        except opened.DamagedError as error:
            raise BlobDamaged(f"{key} can't be sealed: {error}") from None
        head = Head.new(data_key.id)
        yield head.packed
        async for frames in Frames(head, data_key.secret, key).seal_all(chunks):
            yield frames


class _Content:
    """Chunks, counted and hashed as they pass."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks
        self.size = 0
        self.sha = sha256()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self.size += len(chunk)
            self.sha.update(chunk)
            yield chunk


def _head(start: bytes) -> Head | int:
    """What a blob begins with; for plain bytes, where they begin."""
    if not start.startswith(MAGIC):
        return 0
    return Head.read(start) or HEAD


async def _told_apart(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same, less that nobody takes them for sealed ones."""
    start: bytes | None = b""
    async for chunk in chunks:
        if start is None:
            yield chunk
            continue
        start += chunk
        if len(start) >= len(MAGIC):
            yield ESCAPE + start if start.startswith(MAGIC) else start
            start = None
    if start:
        yield start
