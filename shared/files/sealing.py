"""How sealed bytes lie in a store: a head, then frames, each sealed by AES-256-GCM.

The head names the data key and has a salt, from which the blob's own key is derived (HKDF with SHA-256, bound to the
blob's name), so that frames can be counted from 0 in each blob: no nonce comes twice. Every frame but the last has
`FRAME` bytes, and the last is marked as such (the construction STREAM of Hoang, Reyhanitabar, Rogaway and Vizár, 2015):
frames that were changed, swapped, left out or cut off at the end, and those of another blob, are no longer opened.
"""

import os
import struct
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"\x8dassistantd blob\x01"
FRAME = 64 * 1024  # bytes of content: what has to be opened for a single one of them
TAG = 16
OUTER = FRAME + TAG
_SALT = 32
_PLAIN, _SEALED = 0, 1
_HEAD = struct.Struct(f">{len(MAGIC)}sB7x16s{_SALT}s")
HEAD = _HEAD.size


class DamagedError(ValueError):
    """The bytes are not those that were sealed."""


@dataclass(frozen=True, slots=True)
class Head:
    """What sealed bytes begin with."""

    key_id: UUID
    salt: bytes

    @classmethod
    def new(cls, key_id: UUID) -> Self:
        """For bytes that are to be sealed."""
        return cls(key_id, os.urandom(_SALT))

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """The head that `data` begins with; None where it has only been told apart from one (`escaped`).

        Raises DamagedError where it is neither.
        """
        if len(data) < HEAD:
            raise DamagedError("the head is cut off")
        _, kind, key_id, salt = _HEAD.unpack_from(data)
        if kind not in (_PLAIN, _SEALED):
            raise DamagedError(f"a blob of kind {kind}, which a newer release may know")
        return cls(UUID(bytes=key_id), salt) if kind == _SEALED else None

    @property
    def packed(self) -> bytes:
        """As it lies in the store."""
        return _HEAD.pack(MAGIC, _SEALED, self.key_id.bytes, self.salt)


ESCAPE = _HEAD.pack(MAGIC, _PLAIN, bytes(16), bytes(_SALT))
"""Comes before plain bytes that would themselves look like sealed ones."""


class Frames:
    """Seals and opens the frames of one blob."""

    def __init__(self, head: Head, secret: bytes, key: str) -> None:
        """`secret` is the data key's, `key` the blob's name."""
        derived = HKDF(SHA256(), 32, head.salt, b"assistantd blob " + key.encode()).derive(secret)
        self._cipher = AESGCM(derived)
        self._head = head.packed

    def seal(self, number: int, content: bytes, *, last: bool) -> bytes:
        """A frame's content, sealed."""
        return self._cipher.encrypt(_nonce(number, last=last), content, self._head)

    def open(self, number: int, sealed: bytes, *, last: bool) -> bytes:
        """A frame's content. Raises DamagedError."""
        try:
            return self._cipher.decrypt(_nonce(number, last=last), sealed, self._head)
        except InvalidTag:
            raise DamagedError(f"frame {number} is not what was sealed") from None

    async def seal_all(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Frames, some at a time."""
        waiting, number = bytearray(), 0
        async for chunk in chunks:
            waiting += chunk
            whole = max(0, (len(waiting) - 1) // FRAME)  # what may be the last one stays
            if whole:
                yield b"".join(
                    self.seal(number + place, bytes(waiting[place * FRAME : (place + 1) * FRAME]), last=False)
                    for place in range(whole)
                )
                del waiting[: whole * FRAME]
                number += whole
        yield self.seal(number, bytes(waiting), last=True)

    async def open_all(self, chunks: AsyncIterable[bytes], first: int, last: int | None) -> AsyncIterator[bytes]:
        """The content of frames `first` to `last`, some at a time; `chunks` are theirs and at least a byte of the next.

        The blob's last frame is known by being followed by nothing. Raises DamagedError.
        """
        waiting, number = bytearray(), first
        async for chunk in chunks:
            waiting += chunk
            whole = max(0, (len(waiting) - 1) // OUTER)
            if whole:
                yield b"".join(
                    self.open(number + place, bytes(waiting[place * OUTER : (place + 1) * OUTER]), last=False)
                    for place in range(whole)
                )
                del waiting[: whole * OUTER]
                number += whole
        if last is None or number <= last:
            yield self.open(number, bytes(waiting), last=True)


def _nonce(number: int, *, last: bool) -> bytes:
    return struct.pack(">xxx?Q", last, number)
