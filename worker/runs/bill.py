"""What a run uses, from the moment that it is used until it is written down."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.usage.facts import Used, added


class Bill:
    """What the run has used: in all, and what of it has not been written yet."""

    def __init__(self, before: Sequence[dict[str, Any]]) -> None:
        self.unwritten: list[Used] = []
        self.changed = False
        """Is `total` another than the run's row has?"""
        self._before = list(before)

    def spend(self, used: Used) -> None:
        """Something was used, and goes with the next write."""
        self.unwritten.append(used)
        self.changed = True

    def note(self, used: Used) -> None:
        """Something was used of which there is a fact already."""
        self._before = added(self._before, [used])
        self.changed = True

    @property
    def total(self) -> Sequence[Mapping[str, Any]]:
        """All of it, since the run's beginning."""
        return added(self._before, self.unwritten)

    def take(self) -> list[Used]:
        """What was written, or is now somebody else's to write."""
        taken = self.unwritten
        self._before, self.unwritten, self.changed = added(self._before, taken), [], False
        return taken
