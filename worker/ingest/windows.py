"""Which pieces of a file's chunks get vectors: of each chunk what the one before it did not have, cut into windows that
the embedding model can take in.

A chunk of 800 tokens says several things, and a vector of all of it none of them clearly; neighbours share half of
their text, which is embedded once.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shared.database import Row
from worker import tokens

NEIGHBOURS = 2  # chunks after one that may begin with text of it
ENDS = ("\n\n", "\n", ". ", " ")  # where a window would rather end, best first
SLACK = 4  # a window may be shorter by a fourth, for a better end
HEADINGS = 2  # characters of headings, the innermost last, for each token of a window's size, at most


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a chunk: the text that the model is told, with the headings above the chunk, and which chunks have it,
    from `chunk` to `last_chunk`. `number` counts a chunk's windows from 0.
    """

    chunk: int
    number: int
    last_chunk: int
    text: str


class Windows:
    """Takes a file's chunks in order and gives their windows, once it is known which later chunks have them too."""

    def __init__(self, size: int) -> None:
        """`size` is that of the largest window, in tokens; it may be a fourth more, for equal parts or a better end."""
        self._size = size
        self._waiting = deque[tuple[Row, list[tuple[int, int]]]]()
        self._covered = 0  # the character up to which there are windows

    def take(self, chunk: Row) -> list[list[Window]]:
        """The windows of each chunk about which all is known now; a chunk has `position`, `text`, `begins`, `ends`,
        `headings`.
        """
        self._waiting.append((chunk, list(self._cut(chunk))))
        return [self._first()] if len(self._waiting) > NEIGHBOURS else []

    def skip(self, chunk: Row) -> None:
        """This one has its windows already; the next ones are windows of what it does not have."""
        self._covered = max(self._covered, chunk["ends"])

    def end(self) -> Iterator[list[Window]]:
        """Those of the chunks that are left."""
        while self._waiting:
            yield self._first()

    def _cut(self, chunk: Row) -> Iterator[tuple[int, int]]:
        """Places in the file, from and up to, whose text has no window yet."""
        text, first = chunk["text"], chunk["begins"]
        begin = max(self._covered, first)
        self._covered = max(self._covered, chunk["ends"])
        while begin < chunk["ends"]:
            left = text[begin - first :]
            count = -(-tokens.count(left) // self._size)
            length = len(left) if count <= 1 else _end(left, -(-len(left) // count))
            while length > 1 and (many := tokens.count(left[:length])) > self._size + self._size // SLACK:
                length = _end(left, max(1, length * self._size // many))  # its characters cost more than the others
            yield begin, begin + length
            begin += length

    def _first(self) -> list[Window]:
        chunk, places = self._waiting.popleft()
        windows: list[Window] = []
        for begin, end in places:
            text = chunk["text"][begin - chunk["begins"] : end - chunk["begins"]].strip()
            if text:
                windows.append(Window(chunk["position"], len(windows), self._last(chunk, begin, end), text))
        path = " > ".join(chunk["headings"])[-HEADINGS * self._size :]
        return [replace(window, text=f"{path}\n{window.text}" if path else window.text) for window in windows]

    def _last(self, chunk: Row, begin: int, end: int) -> int:
        last: int = chunk["position"]
        for later, _ in self._waiting:
            if later["begins"] <= begin and end <= later["ends"]:
                last = later["position"]
        return last


def _end(text: str, at_most: int) -> int:
    """Where to end a piece of at most so many characters."""
    for mark in ENDS:
        if (place := text.rfind(mark, at_most - at_most // SLACK, at_most)) >= 0:
            return place + len(mark)
    return at_most
