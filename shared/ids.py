"""Ids with OpenAI's prefixes (`asst_`, `thread_`, `file-` …), then 24 base62 characters.

A new id begins with its time in microseconds, so that ids made by one process sort in the order of their making
(messages of one request share a `created_at` and keep their order by id) and index pages fill from one end. The
other 15 characters are random: 89 bits, not to be guessed.

A derived id is a function of what it names, and sorts by the instant that it is given. A run that is picked up again
after a crash gives its next step the same id as before: the database's primary key then refuses the second copy, and a
streaming client sees the same object begin anew where it would otherwise see a stranger.
"""

import hashlib
import re
import secrets
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Literal

Kind = Literal[
    "asst",
    "audit_log",
    "thread",
    "msg",
    "run",
    "step",
    "call",
    "file",
    "upload",
    "part",
    "vs",
    "vsfb",
    "vsf",
    "proj",
    "svc_acct",
    "key",
    "req",
]

_EPOCH = datetime.fromtimestamp(0, UTC)
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TIME_CHARACTERS = 9  # microseconds until the year 2398
_RANDOM_CHARACTERS = 15
_SUFFIX = re.compile(rf"[0-9A-Za-z]{{{_TIME_CHARACTERS + _RANDOM_CHARACTERS}}}")
_FOREIGN = re.compile(r"[0-9A-Za-z_-]{1,64}")
_ID = re.compile(rf"[a-z]+[_-]{_SUFFIX.pattern}")


def prefix(kind: Kind) -> str:
    """`asst_`, `thread_` …; files and entries of the audit log are spelt with a dash."""
    return f"{kind}-" if kind in ("file", "audit_log") else f"{kind}_"


def new(kind: Kind) -> str:
    """Return a fresh id that sorts after every id made before by this process."""
    return prefix(kind) + _base62(_ticks.next(), _TIME_CHARACTERS) + _base62(secrets.randbits(96), _RANDOM_CHARACTERS)


def derive(kind: Kind, at: datetime, order: int, *parts: object) -> str:
    """Return the id that belongs to `parts`, the same in any process; it sorts as the `order`-th made after `at`."""
    digest = hashlib.sha256("\0".join(str(part) for part in (kind, order, *parts)).encode()).digest()
    ticks = (at - _EPOCH) // timedelta(microseconds=1) + order
    return prefix(kind) + _base62(ticks, _TIME_CHARACTERS) + _base62(int.from_bytes(digest, "big"), _RANDOM_CHARACTERS)


def is_well_formed(text: str, kind: Kind) -> bool:
    """Could this be an id of ours? Then it sorts where the object stood, even if that is gone."""
    return text.startswith(prefix(kind)) and _SUFFIX.fullmatch(text.removeprefix(prefix(kind))) is not None


def is_foreign(text: str, kind: Kind) -> bool:
    """Could somebody else have made this id? Those of OpenAI's are shorter or longer than ours, and tell no order."""
    return text.startswith(prefix(kind)) and _FOREIGN.fullmatch(text.removeprefix(prefix(kind))) is not None


def is_id(text: str) -> bool:
    """Has it the shape of an id, of whatever kind? Nothing else that a client writes into a path is shown in logs."""
    return _ID.fullmatch(text) is not None


def _base62(number: int, characters: int) -> str:
    """The lowest `characters` digits of `number`, most significant first."""
    digits: list[str] = []
    for _ in range(characters):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


class _Ticks:
    """Microseconds since 1970 that never repeat or go back within a process."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            return self._last


_ticks = _Ticks()
