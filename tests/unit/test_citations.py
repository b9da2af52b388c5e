"""Marks become annotations, however they are cut into pieces; quotes are words of the source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.runs.citations import Citations, Sources
from worker.runs.quotes import LONGEST, quote
from worker.tools.file_search import Source, mark

SOURCES = {
    (1, 0): Source("file-tower", "vsf_1-1", 3, "Iron is heavy. The tower is 324 metres tall.\n\nIt was built in 1889."),
    (12, 7): Source("file-cake", "vsf_2-9", None, "Cakes are made of flour."),
}
LINKS = {f"sandbox:/mnt/data/{name}": f"file-{name}" for name in ("a.csv", "a.csv.gz", "x y.png")}
ODDS = ["【1:0】", "【1:0†tower.pdf】", "tall ", "sandbox:/mnt/", "sand"]
TEXT = st.lists(
    st.sampled_from(
        [
            *"ab 【】:†\n01",
            mark(1, 0),
            mark(12, 7),
            mark(9, 9),
            "【1:0】",
            "【1:0†tower.pdf】",
            "tall ",
            *LINKS,
            "sandbox:/mnt/",
            "sand",
        ]
    ),
    max_size=12,
).map("".join)


def said(*pieces: str) -> Citations:
    citations = Citations(Sources(SOURCES, LINKS, []))
    passed_on = [piece for text in pieces for piece in citations.feed(text)] + list(citations.end())
    assert "".join(piece.text for piece in passed_on) == citations.text == "".join(pieces)
    assert [piece.annotation for piece in passed_on if piece.annotation] == citations.annotations
    return citations


@given(TEXT, st.data())
def test_any_cut_gives_the_same(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    whole, cut = said(text), said(*pieces)

    assert whole.annotations == cut.annotations == said(*text).annotations
    for annotation in whole.annotations:
        assert text[annotation["start_index"] : annotation["end_index"]] == annotation["text"]


def test_nothing_is_held_back_that_can_be_no_mark() -> None:
    citations = Citations(Sources(SOURCES, {}, []))

    passed_on = ["".join(piece.text for piece in citations.feed(text)) for text in ["a【", "1:0†", "so【x", "】", "b"]]

    assert passed_on == ["a", "", "【1:0†so【x", "】", "b"]


@pytest.mark.parametrize(
    ("before", "quoted"),
    [
        ("The tower is tall, at 324 metres", "The tower is 324 metres tall."),
        ("It is heavy. It was built in 1889", "It was built in 1889."),
        ("Zebras", "Iron is heavy."),
        ("", "Iron is heavy."),
    ],
)
def test_the_quote_is_what_the_statement_relies_on(before: str, quoted: str) -> None:
    (annotation,) = said(f"{before}{mark(1, 0)}").annotations

    assert annotation["assistantd"] == {"page": 3, "chunk_id": "vsf_1-1", "quote": quoted}


def test_marks_side_by_side_stand_behind_the_same_statement() -> None:
    first, second = said(f"In 1889 it was built{mark(12, 7)}{mark(1, 0)}").annotations

    assert first["file_citation"] == {"file_id": "file-cake"}
    assert second["assistantd"]["quote"] == "It was built in 1889."


@given(st.text(alphabet="ab .!?\n12é漢", max_size=900), st.text(alphabet="ab 12é漢", max_size=40))
def test_a_quote_is_part_of_its_text(text: str, statement: str) -> None:
    found = quote(text, statement)

    assert text[found.begins :].startswith(found.text)
    assert len(found.text) <= LONGEST
    assert bool(found.text) is bool(text.strip())


def test_of_a_long_sentence_the_right_part_is_quoted() -> None:
    text = "word " * 300 + "the tower is 324 metres tall " + "word " * 300

    assert "324 metres tall" in quote(text, "How tall is it? 324 metres").text
