"""Chunks: nothing of a text is lost, sizes are kept, neighbours share what was asked for."""

from itertools import pairwise
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.ingest import chunks
from worker.ingest.chunks import Chunk, Stopped, TooManyTokens, cut
from worker.tokens import encoding

WORDS = st.lists(st.sampled_from(["apple ", "é", "字", "🍎", "\n\n", "12345", " ", "naïve-ly", "ﷺ"]), max_size=300).map(
    "".join
)


def chunks_of(text: str, size: int = 100, overlap: int = 20, at_most: int = 1_000_000) -> list[Chunk]:
    return cut(text, size, overlap, at_most=at_most, stop=Event())


@settings(max_examples=100, deadline=None)
@given(text=WORDS, size=st.integers(2, 50), data=st.data())
def test_chunks_put_together_are_the_text(text: str, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size // 2))
    found = chunks_of(text, size, overlap)

    rebuilt = ""
    for chunk in found:
        assert text[chunk.begins : chunk.ends] == chunk.text
        assert chunk.begins <= len(rebuilt) <= chunk.ends
        rebuilt += text[len(rebuilt) : chunk.ends]
    assert rebuilt == text
    assert all(0 < chunk.tokens <= size for chunk in found)
    assert all(chunk.tokens == size for chunk in found[:-1])


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


def test_a_text_with_too_many_tokens() -> None:
    chunks_of("apple " * 50, at_most=100)
    with pytest.raises(TooManyTokens):
        chunks_of("apple " * 200, at_most=100)


def test_it_can_be_stopped() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(Stopped):
        cut("apple", 100, 0, at_most=100, stop=stop)


def test_a_word_without_end_takes_no_time() -> None:
    (*_, last) = chunks_of("a" * 300_000, size=4096, overlap=0)
    assert last.ends == 300_000
