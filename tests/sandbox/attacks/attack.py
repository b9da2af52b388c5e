"""One attempt, and what became of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.sandbox.attacks.bait import Bait
from worker.sandbox.client import SandboxSession

After = Callable[[SandboxSession, Bait], Awaitable[str | None]]
"""Looks from outside after the call; returns the harm that was done, if any."""

PRELUDE = """
import ctypes, errno, os, platform, socket, struct, sys, time
def breach(what):
    print("BREACH:", what, flush=True)
_libc = ctypes.CDLL(None, use_errno=True)
_X86 = platform.machine() == "x86_64"
def call(x86, arm, *arguments):
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = _libc.syscall(ctypes.c_long(x86 if _X86 else arm), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def attempt(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        print(type(error).__name__, error)
BAIT = {bait!r}
"""


@dataclass(frozen=True)
class Attack:
    """`without_control` is why there is no control; `holes` are levels at which it is known to succeed, and why."""

    name: str
    code: str
    without_control: str | None = None
    holes: Mapping[str, str] = field(default_factory=dict[str, str])
    after: After | None = None
    seconds: float = 5
    apart: bool = False  # in a session of its own

    def program(self, facts: dict[str, Any]) -> str:
        """All that is executed, knowing these facts of a bait."""
        return PRELUDE.replace("{bait!r}", repr(facts)) + self.code


@dataclass(frozen=True)
class Verdict:
    """What became of an attempt at one level."""

    category: str
    attack: Attack
    level: str
    breach: str | None
    control: str  # "succeeds", or why there is none, or "FAILS"
    ended: str
    seconds: float

    @property
    def is_contained(self) -> bool:
        """Whether nothing happened that shouldn't."""
        return self.breach is None

    @property
    def is_known(self) -> bool:
        """Whether it is a hole that the level's documentation names."""
        return self.level in self.attack.holes

    @property
    def is_fine(self) -> bool:
        """As it should be: contained unless it is a known hole, with a control that shows that it could have worked."""
        return self.is_contained != self.is_known and self.control != "FAILS"
