"""Ids."""

import re

from hypothesis import given
from hypothesis import strategies as st

from shared import ids


def test_new_ids_sort_in_the_order_of_their_making() -> None:
    made = [ids.new("msg") for _ in range(2000)]

    assert made == sorted(set(made))


def test_ids_have_openais_shape() -> None:
    assert re.fullmatch(r"run_[0-9A-Za-z]{24}", ids.new("run"))
    assert re.fullmatch(r"file-[0-9A-Za-z]{24}", ids.new("file"))
    assert re.fullmatch(r"step_[0-9A-Za-z]{24}", ids.derive("step", "run_x", 0))


@given(st.text(), st.integers(0, 1000), st.text(), st.integers(0, 1000))
def test_derived_ids_are_those_of_their_parts(one: str, first: int, other: str, second: int) -> None:
    same = ids.derive("step", one, first) == ids.derive("step", other, second)

    assert same == ((one, first) == (other, second))
    assert ids.derive("step", one, first) != ids.derive("msg", one, first)
