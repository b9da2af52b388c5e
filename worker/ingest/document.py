"""What a file says, as its reader tells it: parts in reading order, whatever the format.

The text of a file is its parts put together, one after the other: chunks are cut from it, and their offsets count its
characters. A part never spans two pages.
"""

from collections.abc import Iterator
from dataclasses import dataclass


class Unreadable(Exception):
    """The file can't be indexed; `code` and the message are those of its `last_error`. `error` is for the log: where a
    reader stumbled, without a word of the file.
    """

    def __init__(self, code: str, message: str, error: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.error = error


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of text with what separates it from the next one. `page` counts from 1; `headings` are those it stands
    under, outermost first, itself included if it is one. What is `whole` (a table, a row) is not cut if it can be
    avoided.
    """

    text: str
    page: int | None = None
    headings: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Pages:
    """How many pages the file has, told before the first part, where it is known; told again after the last one where
    some are `unread`: pictures in which no text was found.
    """

    number: int
    unread: int = 0


Told = Iterator[Part | Pages]

PARAGRAPH = "\n\n"


def clean(text: str) -> str:
    """The same text in characters that UTF-8 and Postgres can keep: surrogates in pairs become one character, others
    the replacement character; NUL is left out.
    """
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Outline:
    """The headings that are in force, by their depth."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    @property
    def path(self) -> tuple[str, ...]:
        """Outermost first."""
        return tuple(title for _, title in self._open)

    def enter(self, depth: int, title: str) -> None:
        """A heading ends those that are as deep as itself, or deeper."""
        while self._open and self._open[-1][0] >= depth:
            self._open.pop()
        self._open.append((depth, " ".join(title.split())[:HEADING]))


HEADING = 200  # characters of a heading that are kept: what is longer is none
