"""Windows: no text is lost or doubled, and none is larger than the model was said to take."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import tokens
from worker.ingest.chunks import Cutter
from worker.ingest.document import Part
from worker.ingest.windows import SLACK, Window, Windows

MIXED = "苹果可以保存几个月。" * 150 + "The automobile has four wheels. " * 250


def chunk(text: str, position: int = 1, begins: int = 0, headings: tuple[str, ...] = ()) -> dict[str, Any]:
    ends = begins + len(text)
    return {"position": position, "text": text, "begins": begins, "ends": ends, "headings": headings}


def windows(size: int, *chunks: dict[str, Any]) -> list[Window]:
    cutting = Windows(size)
    ready = [windows for one in chunks for windows in cutting.take(one)]
    return [window for of_one in [*ready, *cutting.end()] for window in of_one]


@pytest.mark.parametrize("text", [MIXED, MIXED[::-1], "word" * 4000, "🍎" * 1000, "_" * 9000])
@pytest.mark.parametrize("size", [50, 200, 500])
def test_none_is_much_larger_than_it_may_be(text: str, size: int) -> None:
    """Wherever in the chunk the characters are that cost the most."""
    cut = [window.text for window in windows(size, chunk(text))]

    assert max(map(tokens.count, cut)) <= size + size // SLACK
    assert "".join("".join(cut).split()) == "".join(text.split())


def test_headings_leave_room_for_text() -> None:
    (window,) = windows(100, chunk("Apples.", headings=("h" * 200, "i" * 200, "Innermost")))

    assert window.text.endswith("iii > Innermost\nApples.")
    assert len(window.text) < 300


PIECES = st.lists(
    st.tuples(
        st.sampled_from(["word ", "苹果", "a\n\n", "🍎", "    ", "One. Two. "]), st.integers(1, 300), st.booleans()
    ),
    min_size=1,
    max_size=6,
)


@given(PIECES, st.sampled_from([(100, 0), (100, 50), (200, 37), (400, 200)]), st.sampled_from([50, 130, 800]))
def test_every_character_of_a_file_is_in_one_window(
    pieces: list[tuple[str, int, bool]], how: tuple[int, int], size: int
) -> None:
    """And a window stands for no chunk that has not all of its text."""
    parts = [Part(text * times, whole=whole) for text, times, whole in pieces]
    cutter = Cutter(*how, at_most=1_000_000)
    made = [one for part in parts for one in cutter.take(part)] + list(cutter.end())
    chunks = [chunk(one.text, number, one.begins) for number, one in enumerate(made, 1)]
    cut = windows(size, *chunks)

    whole = "".join(part.text for part in parts)
    assert "".join("".join(window.text for window in cut).split()) == "".join(whole.split())
    for window in cut:
        assert all(window.text in one["text"] for one in chunks[window.chunk - 1 : window.last_chunk])
    assert all(one.chunk < later.chunk or one.number + 1 == later.number for one, later in pairwise(cut))
