"""Levels of isolation behind one interface.

| level | walls | for |
|---|---|---|
| `bwrap` | namespaces, no capabilities, a root of its own, system call filter, limits | several users on one machine |
| `landlock` | file access rules, system call filter, limits; the root and processes are the machine's | development |

In Kubernetes the service runs at `bwrap` in pods under a RuntimeClass of gVisor or Kata: see infra/README.md.
What a level leaves open stands in its module; its `HOLES` are part of `/healthz`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from worker.sandbox.environment import Environment
from worker.sandbox.isolation import bwrap, landlock
from worker.sandbox.isolation.level import LEVELS, WORKPLACE, Isolation, LevelName, UnavailableError
from worker.sandbox.users import User

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Isolation", "UnavailableError", "make_workplace", "prepare"]


def prepare(
    minimum: LevelName, wanted: LevelName | None, environment: Environment, state: Path, user: User | None
) -> Isolation:
    """The strongest level that this machine has, or the one that is `wanted`, but none below `minimum`.

    Levels are tried out as `user`. Raises UnavailableError, whose message says what is missing for each of them.
    """
    workplace = state / "trial"
    make_workplace(workplace, user)
    makers: dict[LevelName, Callable[[], Isolation]] = {
        "bwrap": lambda: bwrap.prepare(environment, state, workplace, user),
        "landlock": lambda: landlock.prepare(environment, state, user),
    }
    allowed = LEVELS[LEVELS.index(minimum) :]
    problems: list[str] = []
    for name in reversed(allowed):
        if wanted in (None, name):
            try:
                return makers[name]()
            except UnavailableError as error:
                problems.append(f"{name}: {error}")
    asked = f"the level {wanted} is below the minimum" if wanted is not None and wanted not in allowed else ""
    raise UnavailableError(f"no isolation of at least {minimum} can be had here. {'; '.join(problems) or asked}")


def make_workplace(place: Path, user: User | None) -> None:
    """The directories that a session writes to; `place` itself stays ours, so that no name in it can be swapped."""
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o700 if user is None else 0o711)
    for name in WORKPLACE:
        (place / name).mkdir(mode=0o700, exist_ok=True)
        if user is not None:
            os.chown(place / name, user.uid, user.uid)
