"""How long is spelt as the original spells it, which clients parse."""

from datetime import timedelta

import pytest

from shared.limits.rates import duration


@pytest.mark.parametrize(
    ("milliseconds", "spelt"),
    [
        (0, "0s"),
        (1, "1ms"),
        (20, "20ms"),
        (999, "999ms"),
        (1000, "1s"),
        (7660, "7.66s"),
        (18_642, "18.642s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (61_500, "1m1.5s"),
        (360_000, "6m0s"),
    ],
)
def test_durations(milliseconds: int, spelt: str) -> None:
    assert duration(timedelta(milliseconds=milliseconds)) == spelt
