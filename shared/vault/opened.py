"""A data key that is at hand, and how it seals content: what rows hold, and events in Redis.

Every message is sealed by AES-256-GCM with a nonce of its own, and by a key of its own hour, which HKDF makes of the
data key: one key must not seal more than 2 ** 32 messages under nonces that are not counted (NIST SP 800-38D, 8.3),
which is a million a second for an hour. A nonce is 64 random bits, and 32 of the clock's nanoseconds: random bits are
drawn some hundreds at once, and the clock tells apart who would draw the same, copies of a machine that was frozen.
Files are sealed in another way, for their length (`shared/files/sealing.py`).
"""

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOUR = 4  # bytes that say which
_NONCE = 12
_TAG = 16
_HOUR_NS = 3600 * 1_000_000_000
_RANDOM = 8  # of its bytes
_INSTANT = 0xFFFFFFFF


class _Random:
    """Random bytes, drawn many at once: each time it asks the kernel, Python lets other threads go first, which costs a
    worker ten times as much as sealing does. A child process draws its own.
    """

    def __init__(self) -> None:
        self._drawn: Iterator[bytes] = iter(())
        os.register_at_fork(after_in_child=self._forget)

    def take(self) -> bytes:
        """`_RANDOM` bytes that nobody else gets, whichever thread asks."""
        for one in self._drawn:
            return one
        drawn = os.urandom(_RANDOM * _AT_ONCE)
        self._drawn = iter([drawn[at : at + _RANDOM] for at in range(_RANDOM, len(drawn), _RANDOM)])
        return drawn[:_RANDOM]

    def _forget(self) -> None:
        self._drawn = iter(())


_AT_ONCE = 512
_random = _Random()


class DamagedError(ValueError):
    """This is not what was sealed."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A data key that can be used."""

    id: UUID
    project_id: str
    secret: bytes = field(repr=False)
    _ciphers: dict[bytes, AESGCM] = field(default_factory=dict[bytes, AESGCM], init=False, compare=False, repr=False)

    def seal(self, content: bytes, purpose: bytes) -> bytes:
        """The hour and a nonce, then the sealed content and its tag. It is opened for the same purpose only."""
        now = time.time_ns()
        hour = (now // _HOUR_NS).to_bytes(_HOUR, "big")
        nonce = (now & _INSTANT).to_bytes(_NONCE - _RANDOM, "big") + _random.take()
        return hour + nonce + self._cipher(hour).encrypt(nonce, content, purpose)

    def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """The content. Raises DamagedError."""
        if len(sealed) < _HOUR + _NONCE + _TAG:
            raise DamagedError("it is cut off")
        hour, nonce, rest = sealed[:_HOUR], sealed[_HOUR : _HOUR + _NONCE], sealed[_HOUR + _NONCE :]
        try:
            return self._cipher(hour).decrypt(nonce, rest, purpose)
        except InvalidTag:
            raise DamagedError("it is not what was sealed") from None

    def _cipher(self, hour: bytes) -> AESGCM:
        cipher = self._ciphers.get(hour)
        if cipher is None:
            derived = HKDF(SHA256(), 32, hour, b"assistantd content").derive(self.secret)
            cipher = self._ciphers[hour] = AESGCM(derived)
        return cipher
