"""Ids."""

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared import ids

NOW = datetime.now(UTC)
LATEST = datetime(2300, 1, 1, tzinfo=UTC)


def test_new_ids_sort_in_the_order_of_their_making() -> None:
    made = [ids.new("msg") for _ in range(2000)]

    assert made == sorted(set(made))


def test_ids_have_openais_shape() -> None:
    assert re.fullmatch(r"run_[0-9A-Za-z]{24}", ids.new("run"))
    assert re.fullmatch(r"file-[0-9A-Za-z]{24}", ids.new("file"))
    assert re.fullmatch(r"step_[0-9A-Za-z]{24}", ids.derive("step", NOW, 0, "run_x"))


@given(st.text(), st.integers(0, 1000), st.text(), st.integers(0, 1000))
def test_derived_ids_are_those_of_their_parts(one: str, first: int, other: str, second: int) -> None:
    same = ids.derive("step", NOW, first, one) == ids.derive("step", NOW, second, other)

    assert same == ((one, first) == (other, second))
    assert ids.derive("step", NOW, first, one) != ids.derive("msg", NOW, first, one)


@given(
    st.datetimes(NOW.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC)),
    st.integers(0, 1000),
)
def test_derived_ids_sort_by_their_instant(later: datetime, order: int) -> None:
    assert ids.derive("msg", NOW, 0, "x") <= ids.derive("msg", later, order, "x")
    assert ids.derive("msg", later, order, "y") < ids.derive("msg", later, order + 1, "x")
