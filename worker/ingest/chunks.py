"""Cutting text into chunks of so many tokens, each of which begins with the last tokens of the one before."""

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from worker.ingest.document import Part
from worker.tokens import count, encoding

PIECE = 1_000_000  # characters that are encoded at once
SLACK = 8  # tokens that something whole may cost more out of its context
_FOLLOWS = 0b10  # the first two bits of a byte that goes on with a character


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of a text: from the character at `begins` up to the one at `ends`. `tokens` is what the text costs by
    itself; page and headings are those of its first word. `pages` are those that begin after it: the character of the
    chunk with which one begins, and its number.
    """

    text: str
    tokens: int
    begins: int
    ends: int
    page: int | None
    headings: tuple[str, ...]
    pages: tuple[tuple[int, int], ...] = ()


class TooManyTokens(Exception):
    """The text has more tokens than allowed."""


class Cutter:
    """Takes parts and gives chunks of `size` tokens, as soon as they are known: of a text of any length, not more is
    held than a part and two chunks.

    A chunk ends before something whole that would not fit into it any more, if it fits into the next one; that one then
    begins with as much overlap as leaves room for it. Whole things longer than a chunk are cut between their lines.
    Nothing begins within a whole thing: the overlap is shorter there. A boundary within a character is moved before it.
    """

    def __init__(self, size: int, overlap: int, *, at_most: int) -> None:
        self._size, self._overlap, self._at_most = size, overlap, at_most
        self._raw = bytearray()  # what may still be part of a chunk, in UTF-8; its first byte is number `_raw_from`
        self._raw_from = 0
        self._ends = array("Q", [0])  # where tokens end, the one before the first that is held included
        self._ends_from = 0  # the number of that first one
        self._wholes = deque[tuple[int, int]]()  # tokens from and up to
        self._marks = deque[tuple[int, Part]]()  # from which byte on
        self._next = 0  # the token with which the next chunk begins
        self._reached = 0  # the token up to which there are chunks
        self._byte = self._character = 0  # one place, both ways of counting

    def take(self, part: Part) -> Iterator[Chunk]:
        """The chunks that are complete with this part. Raises TooManyTokens."""
        self._marks.append((self._raw_from + len(self._raw), part))
        if not part.whole:
            for start in range(0, len(part.text), PIECE):
                self._append(part.text[start : start + PIECE])
                yield from self._cut(last=False)
            return
        begin = self._total
        if len(part.text) <= PIECE:
            self._append(part.text)
        if begin < self._total <= begin + self._size:
            self._wholes.append((begin, self._total))
        else:
            self._take_back(begin)
            for line in part.text.splitlines(keepends=True):
                begin = self._total
                for start in range(0, len(line), PIECE):
                    self._append(line[start : start + PIECE])
                if self._total <= begin + self._size:
                    self._wholes.append((begin, self._total))
                yield from self._cut(last=False)
        yield from self._cut(last=False)

    def end(self) -> Iterator[Chunk]:
        """The chunks that are left."""
        return self._cut(last=True)

    @property
    def held(self) -> bytes:
        """What is kept of the text."""
        return bytes(self._raw)

    @property
    def _total(self) -> int:
        return self._ends_from + len(self._ends) - 1

    def _append(self, text: str) -> None:
        tokens = encoding().encode_ordinary(text)
        if self._total + len(tokens) > self._at_most:
            raise TooManyTokens
        self._raw += text.encode()
        end = self._ends[-1]
        for token in encoding().decode_tokens_bytes(tokens):
            end += len(token)
            self._ends.append(end)

    def _take_back(self, begin: int) -> None:
        """Forget the tokens from this one on."""
        del self._ends[begin - self._ends_from + 1 :]
        del self._raw[self._ends[-1] - self._raw_from :]

    def _cut(self, *, last: bool) -> Iterator[Chunk]:
        while self._next < self._total and (last or self._total - self._next > self._size):
            chunk, end, self._next = self._chunk(self._next)
            if chunk is not None:
                yield chunk
            if end == self._total and last:
                break
        self._forget()

    def _chunk(self, first: int) -> tuple[Chunk | None, int, int]:
        """The chunk that begins with this token, where it ends, and where the next one begins."""
        room = self._size
        while True:
            end, whole = min(first + room, self._total), None
            if (inside := self._whole_around(end)) is not None and inside[0] > first:
                end, whole = inside[0], inside
            begins, text = self._text(first, end)
            tokens = count(text)
            if tokens <= self._size or room == 1:
                break
            room = max(1, room - (tokens - self._size))  # cut out of its context, text may cost a token more
        if end <= self._reached:  # overlap alone: what is whole needed even that room
            return None, end, end
        self._reached = end
        following = max(end - self._overlap, first + 1)
        if whole is not None:
            following = max(following, min(whole[1] - self._size + SLACK, whole[0]))
        if (inside := self._whole_around(following)) is not None:
            following = min(inside[1], end)
        return self._made(begins, text, tokens), end, following

    def _whole_around(self, token: int) -> tuple[int, int] | None:
        """What must not be cut before this token."""
        place = bisect_right(self._wholes, token, key=lambda whole: whole[0]) - 1
        if place >= 0 and self._wholes[place][0] < token < self._wholes[place][1]:
            return self._wholes[place]
        return None

    def _text(self, first: int, end: int) -> tuple[int, str]:
        """From which byte on, and what."""
        begins, ends = (self._boundary(self._ends[token - self._ends_from]) for token in (first, end))
        return begins, self._raw[begins - self._raw_from : ends - self._raw_from].decode()

    def _boundary(self, byte: int) -> int:
        """The beginning of the character that this byte belongs to."""
        while (place := byte - self._raw_from) < len(self._raw) and self._raw[place] >> 6 == _FOLLOWS:
            byte -= 1
        return byte

    def _made(self, begins: int, text: str, tokens: int) -> Chunk | None:
        if not text:
            return None
        passed = self._raw[self._byte - self._raw_from : begins - self._raw_from]
        self._character += len(passed.decode())
        self._byte = begins
        space = text[: len(text) - len(text.lstrip())]
        part = self._marks[bisect_right(self._marks, begins + len(space.encode()), key=lambda mark: mark[0]) - 1][1]
        pages = tuple(self._pages_within(begins, text, part.page))
        return Chunk(text, tokens, self._character, self._character + len(text), part.page, part.headings, pages)

    def _pages_within(self, begins: int, text: str, page: int | None) -> Iterator[tuple[int, int]]:
        raw = text.encode()
        for byte, part in self._marks:
            if begins < byte < begins + len(raw) and part.page is not None and part.page != page:
                page = part.page
                yield len(raw[: byte - begins].decode()), page

    def _forget(self) -> None:
        """Let go of what no chunk needs any more."""
        spare = self._next - self._ends_from
        del self._ends[:spare]
        self._ends_from = self._next
        del self._raw[: self._byte - self._raw_from]
        self._raw_from = self._byte
        while self._wholes and self._wholes[0][1] <= self._next:
            self._wholes.popleft()
        while len(self._marks) > 1 and self._marks[1][0] <= self._byte:
            self._marks.popleft()
