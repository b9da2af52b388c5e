"""A data key that is at hand, and how it seals content: what rows hold, and events in Redis.

Every message is sealed by AES-256-GCM with a random nonce, and by a key of its own hour, which HKDF makes of the data
key: one key must not seal more than 2 ** 32 messages under random nonces (NIST SP 800-38D, 8.3), which is a million a
second for an hour. Files are sealed in another way, for their length (`shared/files/sealing.py`).
"""

import os
import time
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_HOUR = 4  # bytes that say which
_NONCE = 12
_TAG = 16
_SECONDS = 3600


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
        hour, nonce = (int(time.time()) // _SECONDS).to_bytes(_HOUR, "big"), os.urandom(_NONCE)
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
