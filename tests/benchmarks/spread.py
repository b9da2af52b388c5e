"""Medians and tails."""

import math
import statistics
from collections.abc import Sequence


class Spread:
    """Some measurements of one thing. Raises ValueError if there are none."""

    def __init__(self, values: Sequence[float]) -> None:
        if not values:
            raise ValueError("nothing was measured")
        self._values = sorted(values)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self._values)

    @property
    def longest(self) -> float:
        """The greatest one."""
        return self._values[-1]

    def percentile(self, percent: float) -> float:
        """The smallest of those that so many percent don't exceed."""
        return self._values[math.ceil(len(self._values) * percent / 100) - 1]

    def __str__(self) -> str:
        return f"p95 {self.percentile(95):.1f}, p99 {self.percentile(99):.1f}, of {len(self._values)}"
