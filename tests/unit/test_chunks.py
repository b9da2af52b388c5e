"""Chunks: nothing of a text is lost, sizes are kept, neighbours share what was asked for, what is whole stays whole."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.ingest import chunks
from worker.ingest.chunks import Chunk, Cutter, TooManyTokens
from worker.ingest.document import Part
from worker.tokens import count, encoding

WORDS = st.lists(st.sampled_from(["apple ", "é", "字", "🍎", "\n\n", "12345", " ", "naïve-ly", "ﷺ"]), max_size=300).map(
    "".join
)


def cut(parts: Iterable[Part], size: int, overlap: int, at_most: int = 1_000_000) -> list[Chunk]:
    cutter = Cutter(size, overlap, at_most=at_most)
    return [chunk for part in parts for chunk in cutter.take(part)] + list(cutter.end())


def chunks_of(text: str, size: int = 100, overlap: int = 20, at_most: int = 1_000_000) -> list[Chunk]:
    return cut([Part(text)], size, overlap, at_most)


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.builds(Part, WORDS, page=st.integers(1, 9), whole=st.booleans()), max_size=8),
    size=st.integers(20, 60),
    data=st.data(),
)
def test_chunks_put_together_are_the_text(parts: list[Part], size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size // 2))
    text = "".join(part.text for part in parts)
    found = cut(parts, size, overlap)

    rebuilt = ""
    for chunk in found:
        assert text[chunk.begins : chunk.ends] == chunk.text
        assert chunk.begins <= len(rebuilt) < chunk.ends
        rebuilt += text[len(rebuilt) : chunk.ends]
        assert 0 < chunk.tokens == count(chunk.text) <= size
        assert chunk.page == _page_of_first_word(parts, chunk)
    assert rebuilt == text


def _page_of_first_word(parts: list[Part], chunk: Chunk) -> int | None:
    place = chunk.begins + len(chunk.text) - len(chunk.text.lstrip())
    for part in parts:
        if place < len(part.text):
            return part.page
        place -= len(part.text)
    return parts[-1].page


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 18)), min_size=1, max_size=20))
def test_what_is_whole_and_fits_stays_whole(words: list[tuple[int, int]]) -> None:
    parts = [
        part
        for n, (before, table) in enumerate(words)
        for part in (Part("word " * before), Part(f"\nrow{n}" + " | cell" * table + "\n", whole=True))
    ]
    found = cut(parts, 60, 20)

    for part in parts[1::2]:
        assert any(part.text.strip() in chunk.text for chunk in found), part.text


def test_a_table_longer_than_a_chunk_is_cut_between_rows() -> None:
    rows = [f"row {n} | apples | {n * 7}\n" for n in range(200)]
    found = cut([Part("".join(rows), whole=True)], 100, 20)

    assert len(found) > 10
    assert all(line + "\n" in rows for chunk in found for line in chunk.text.splitlines())


def test_neighbours_share_their_overlap() -> None:
    text = " ".join(f"word{number}" for number in range(500))
    found = chunks_of(text, size=100, overlap=50)

    for one, next_one in pairwise(found):
        shared = text[next_one.begins : one.ends]
        assert len(encoding().encode_ordinary(shared)) == 50


def test_it_counts_as_the_published_encoding_does() -> None:
    """Examples with known answers of cl100k_base."""
    assert encoding().encode_ordinary("hello world") == [15339, 1917]
    assert encoding().encode_ordinary("tiktoken is great!") == [83, 1609, 5963, 374, 2294, 0]
    assert encoding().n_vocab == 100_256


def test_a_text_of_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Apples keep for months. " * 50
    monkeypatch.setattr(chunks, "PIECE", 7)

    found = chunks_of(text, size=100, overlap=0)

    assert "".join(chunk.text for chunk in found) == text


def test_headings_are_those_of_the_first_word() -> None:
    parts = [Part("Intro " * 90, 1, ("A",)), Part("\n\n", 1, ("A",)), Part("Body " * 90, 2, ("A", "B"))]
    found = cut(parts, 100, 0)

    assert [(chunk.page, chunk.headings) for chunk in found] == [(1, ("A",)), (2, ("A", "B"))]


def test_it_is_known_where_in_a_chunk_pages_begin() -> None:
    parts = [Part("naïve 漢 ", 1), Part("still here. ", 1), Part("Two. ", 2), Part("Three.", 3)]
    (chunk,) = cut(parts, 100, 0)

    assert [(chunk.text[begins:].split()[0], page) for begins, page in chunk.pages] == [("Two.", 2), ("Three.", 3)]


def test_a_text_with_too_many_tokens() -> None:
    chunks_of("apple " * 50, at_most=100)
    with pytest.raises(TooManyTokens):
        chunks_of("apple " * 200, at_most=100)


def test_little_is_held_of_a_long_text() -> None:
    cutter = Cutter(100, 50, at_most=10_000_000)
    for _ in range(2000):
        for _chunk in cutter.take(Part("word " * 20)):
            pass
        assert len(cutter.held) < 2000


def test_a_word_without_end_takes_no_time() -> None:
    (*_, last) = chunks_of("a" * 300_000, size=4096, overlap=0)
    assert last.ends == 300_000
