"""Finding the words of a source that a statement relies on: pure."""

import re
from typing import NamedTuple

LONGEST = 300  # characters of a quote
_SENTENCE = re.compile(r"\S(?:[^.!?\n]|[.!?](?!\s)|\n(?!\s*\n))*(?:[.!?]+(?=\s|$))?")
_WORD = re.compile(r"\w+")


class Quote(NamedTuple):
    """Words of a text, as they stand in it from the character at `begins` on."""

    text: str
    begins: int


def quote(text: str, statement: str) -> Quote:
    """The sentence that has most of the statement's words, the first one if none has any; cut to `LONGEST`."""
    wanted = _words(statement)
    sentences = list(_SENTENCE.finditer(text))
    if not sentences:
        return Quote("", 0)
    best = max(sentences, key=lambda sentence: _weight(wanted & _words(sentence[0])))
    return _cut(best[0], best.start(), wanted)


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}


def _weight(words: set[str]) -> int:
    """Long words, and numbers, say more than short ones."""
    return sum(4 if word.isdigit() else len(word) for word in words)


def _cut(sentence: str, begins: int, wanted: set[str]) -> Quote:
    """The part of a long sentence with most of the wanted words, at the boundaries of words."""
    if len(sentence) <= LONGEST:
        return Quote(sentence.rstrip(), begins)
    words = list(_WORD.finditer(sentence))
    starts = [word.start() for word in words] or [0]

    def value(start: int) -> int:
        return _weight({w[0].casefold() for w in words if start <= w.start() and w.end() <= start + LONGEST} & wanted)

    start = max(starts[:: max(1, len(starts) // 200)], key=value)
    part = sentence[start : start + LONGEST]
    if start + LONGEST < len(sentence) and (space := part.rfind(" ")) > 0:
        part = part[:space]
    return Quote(part.rstrip(), begins + start)
