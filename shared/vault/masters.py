"""Whoever can wrap a data key and open it again: master keys of our settings, or a service that keeps some."""

import base64
import hashlib
import os
from collections.abc import Sequence
from typing import Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.vault.opened import DamagedError

NONCE = 12  # bytes, random: a master key wraps a few thousand data keys, where 2 ** 32 would be too many (SP 800-38D)


class NoMasterKey(Exception):
    """A data key was wrapped by a master key that isn't at hand."""


class MastersAway(NoMasterKey):
    """Whoever keeps the master keys can't be asked at the moment, or doesn't answer in time."""


class Masters(Protocol):
    """Master keys, of which one is in use and others are still needed. A service that keeps keys fits in here: it is
    asked once a minute for each data key in use, by each process; for how long, the vault decides, and who is cut off
    by it is asked again by whatever needs the key next. It raises MastersAway where it can't be reached.
    """

    @property
    def current(self) -> str:
        """The name of the one that wraps, as long as this process lives. A name tells nothing about the key."""
        ...

    async def wrap(self, secret: bytes, bound_to: bytes) -> bytes:
        """Seal a data key by the current master key, for whoever can say what it is bound to. Raises NoMasterKey."""
        ...

    async def unwrap(self, name: str, wrapped: bytes, bound_to: bytes) -> bytes:
        """The data key. Raises NoMasterKey where the master key of that name is not at hand, DamagedError where it is
        and did not wrap this, bound to that.
        """
        ...


class MasterKeys:
    """Those of the settings: the first one wraps, all of them unwrap."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` are one at least."""
        self._keys = {_name(key): AESGCM(key) for key in keys}
        self._current = _name(keys[0])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Keys in base64, separated by commas, as the settings have found them to be."""
        return cls([base64.b64decode(part.strip()) for part in text.split(",")])

    @property
    def current(self) -> str:
        """The name of the first."""
        return self._current

    @property
    def names(self) -> set[str]:
        """Of all of them."""
        return set(self._keys)

    async def wrap(self, secret: bytes, bound_to: bytes) -> bytes:
        """A nonce, then the sealed key and its tag."""
        nonce = os.urandom(NONCE)
        return nonce + self._keys[self._current].encrypt(nonce, secret, bound_to)

    async def unwrap(self, name: str, wrapped: bytes, bound_to: bytes) -> bytes:
        """The data key. Raises NoMasterKey, DamagedError."""
        master = self._keys.get(name)
        if master is None:
            raise NoMasterKey(f"the master key {name} is not among ASSISTANTD_ENCRYPTION_KEYS")
        try:
            return master.decrypt(wrapped[:NONCE], wrapped[NONCE:], bound_to)
        except (InvalidTag, ValueError):  # the latter if it is too short
            raise DamagedError(f"the master key {name} did not wrap it") from None


def _name(key: bytes) -> str:
    """Eight bytes of a hash: enough to tell keys apart, and the key is random, so that none can be found by it."""
    return hashlib.sha256(b"assistantd master key " + key).hexdigest()[:16]
