"""Cutting text into chunks of so many tokens, each of which begins with the last tokens of the one before."""

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from threading import Event
from typing import NamedTuple

from worker.tokens import encoding

PIECE = 1_000_000  # characters that are encoded at once: between two pieces the work can be stopped
_FOLLOWS = 0b10  # the first two bits of a byte that goes on with a character


class Chunk(NamedTuple):
    """Part of a text: from the character at `begins` up to the one at `ends`."""

    text: str
    tokens: int
    begins: int
    ends: int


class TooManyTokens(Exception):
    """The text has more tokens than allowed."""


class Stopped(Exception):
    """Nobody wants the result any more."""


def cut(text: str, size: int, overlap: int, *, at_most: int, stop: Event) -> list[Chunk]:
    """Chunks of `size` tokens, the last one of fewer. A boundary within a character is moved before it.

    Raises TooManyTokens beyond `at_most` tokens, and Stopped once `stop` is set.
    """
    raw = text.encode()
    place = array("L", accumulate(_lengths(text, at_most, stop), initial=0))  # of each token's first byte
    return list(_windows(raw, place, size, overlap, stop))


def _lengths(text: str, at_most: int, stop: Event) -> Sequence[int]:
    """How many bytes each token has; millions of them, so they are kept small."""
    lengths = array("H")
    for start in range(0, len(text), PIECE):
        if stop.is_set():
            raise Stopped
        tokens = encoding().encode_ordinary(text[start : start + PIECE])
        if len(lengths) + len(tokens) > at_most:
            raise TooManyTokens
        lengths.extend(map(len, encoding().decode_tokens_bytes(tokens)))
    return lengths


def _windows(raw: bytes, place: Sequence[int], size: int, overlap: int, stop: Event) -> Iterator[Chunk]:
    total, first = len(place) - 1, 0
    byte = character = 0  # where the chunk begins, both ways of counting
    while first < total:
        if stop.is_set():
            raise Stopped
        last = min(first + size, total)
        begins = _boundary(raw, place[first])
        character += len(raw[byte:begins].decode())
        byte = begins
        text = raw[begins : _boundary(raw, place[last])].decode()
        yield Chunk(text, last - first, character, character + len(text))
        if last == total:
            return
        first = last - overlap


def _boundary(raw: bytes, byte: int) -> int:
    """The beginning of the character that this byte belongs to."""
    while byte < len(raw) and raw[byte] >> 6 == _FOLLOWS:
        byte -= 1
    return byte
