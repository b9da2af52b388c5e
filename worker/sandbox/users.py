"""As whom interpreters run. Root's are a user each, so that walls between sessions don't hang on namespaces alone."""

import os
from dataclasses import dataclass
from typing import Any

FIRST_UID = 50_000  # within the 65,536 that containers have; nobody's on the usual systems
COUNT = 4096


@dataclass(frozen=True)
class User:
    """A user and group of that number; no entry in /etc/passwd is needed."""

    uid: int


class Users:
    """Hands out users, each to one session at a time."""

    def __init__(self) -> None:
        self._free = list(range(FIRST_UID + COUNT - 1, FIRST_UID - 1, -1)) if os.geteuid() == 0 else None

    def take(self) -> User | None:
        """A user that no session has, or None where everything runs as the service itself, which is not root."""
        return None if self._free is None else User(self._free.pop())

    def give_back(self, user: User | None) -> None:
        """The session is over and all its processes are gone."""
        if self._free is not None and user is not None:
            self._free.insert(0, user.uid)  # the longest unused is taken next


def spawning(user: User | None) -> dict[str, Any]:
    """Arguments of `subprocess` for a child of that user."""
    return {} if user is None else {"user": user.uid, "group": user.uid, "extra_groups": []}
