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
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOUR = 4  # bytes that say which
_NONCE = 12
_TAG = 16
_HOUR_NS = 3600 * 1_000_000_000
_RANDOM = 8  # of its bytes
_PIECE = 2000
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
    _ciphers: dict[bytes, "_Cipher"] = field(
        default_factory=dict[bytes, "_Cipher"], init=False, compare=False, repr=False
    )

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
            return self._cipher(hour).whole.decrypt(nonce, rest, purpose)
        except InvalidTag:
            raise DamagedError("it is not what was sealed") from None

    def _cipher(self, hour: bytes) -> "_Cipher":
        cipher = self._ciphers.get(hour)
        if cipher is None:
            derived = HKDF(SHA256(), 32, hour, b"assistantd content").derive(self.secret)
            cipher = self._ciphers[hour] = _Cipher(derived)
        return cipher


class _Cipher:
    """AES-256-GCM by one key. Beyond `_PIECE` bytes `cryptography` lets other threads go first, which costs more than
    it is worth until there are a hundred times as many: what is between is put in piece by piece.
    """

    def __init__(self, key: bytes) -> None:
        self.whole = AESGCM(key)
        self._algorithm = algorithms.AES256(key)

    def encrypt(self, nonce: bytes, content: bytes, purpose: bytes) -> bytes:
        """What `AESGCM.encrypt` returns."""
        if not _PIECE < len(content) < 100 * _PIECE:
            return self.whole.encrypt(nonce, content, purpose)
        encryptor = Cipher(self._algorithm, GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(purpose)
        pieces = [encryptor.update(content[at : at + _PIECE]) for at in range(0, len(content), _PIECE)]
        return b"".join([*pieces, encryptor.finalize(), encryptor.tag])
