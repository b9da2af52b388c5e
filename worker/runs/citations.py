"""Marks of sources in what the model says, made into annotations while it speaks: pure.

A mark may come in any number of pieces. Whatever could still become one is held back; what turns out not to be one, or
names no source, is left as the text that it is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from worker.runs.quotes import quote
from worker.tools.file_search import Source

_MARK = re.compile(r"【(\d{1,9}):(\d{1,9})(?:†[^【】\n]{0,200})?】")
_BEGINNING = re.compile(r"【(?:\d{1,9}(?::(?:\d{1,9}(?:†[^【】\n]{0,200})?)?)?)?\Z")
_START = re.compile("【|s(?:andbox:|$|a$|an$|and$|andb$|andbo$|andbox$)")
_STATEMENT = 400  # characters before a mark in which the statement is that it stands behind
_ENDS = re.compile(r"(?<=[.!?])\s+|\n+|】")


class Sources(NamedTuple):
    """What an answer may refer to: results of searches by the numbers of their marks, file ids by link, and images that
    are shown with it.
    """

    marks: Mapping[tuple[int, int], Source]
    links: Mapping[str, str]
    images: Sequence[str]


class Piece(NamedTuple):
    """Text to be passed on; a mark that names a source has its annotation."""

    text: str
    annotation: dict[str, Any] | None = None


class Citations:
    """One message's text on its way to the client. `text` and `annotations` are what has been passed on of it."""

    def __init__(self, sources: Sources) -> None:
        self.text = ""
        self.annotations: list[dict[str, Any]] = []
        self._marks = sources.marks
        self._links = sources.links
        self._held = ""

    def feed(self, text: str) -> Iterator[Piece]:
        """Take in some text; what can be passed on."""
        if not self._marks and not self._links:
            self.text += text
            yield Piece(text)
            return
        self._held += text
        yield from self._scan(more=True)

    def end(self) -> Iterator[Piece]:
        """Nothing more will come: what was held back is text, or a link that could have been a longer one."""
        yield from self._scan(more=False)

    def _scan(self, *, more: bool) -> Iterator[Piece]:
        while found := _START.search(self._held):
            yield from self._pass_on(found.start())
            if mark := _MARK.match(self._held):
                yield from self._pass_on(mark.end(), self._citation(mark))
            elif more and (_BEGINNING.match(self._held) or self._may_grow()):
                return
            elif link := max((link for link in self._links if self._held.startswith(link)), key=len, default=None):
                yield from self._pass_on(len(link), self._path(link))
            else:
                yield from self._pass_on(1)
        yield from self._pass_on(len(self._held))

    def _may_grow(self) -> bool:
        """Is all that is held the beginning of a link?"""
        return any(link.startswith(self._held) and link != self._held for link in self._links)

    def _path(self, link: str) -> dict[str, Any]:
        begins = len(self.text)
        return {
            "type": "file_path",
            "text": link,
            "start_index": begins,
            "end_index": begins + len(link),
            "file_path": {"file_id": self._links[link]},
        }

    def _pass_on(self, length: int, annotation: dict[str, Any] | None = None) -> Iterator[Piece]:
        passed, self._held = self._held[:length], self._held[length:]
        if not passed:
            return
        self.text += passed
        if annotation is not None:
            self.annotations.append(annotation)
        yield Piece(passed, annotation)

    def _citation(self, mark: re.Match[str]) -> dict[str, Any] | None:
        source = self._marks.get((int(mark[1]), int(mark[2])))
        if source is None:
            return None
        begins = len(self.text)
        quoted = quote(source.text, _statement(self.text))
        page = source.page_at(quoted.begins)
        return {
            "type": "file_citation",
            "text": mark[0],
            "start_index": begins,
            "end_index": begins + len(mark[0]),
            "file_citation": {"file_id": source.file_id},
            "assistantd": {"page": page, "chunk_id": source.chunk_id, "quote": quoted.text},
        }


def _statement(before: str) -> str:
    """What was said right before a mark, back to the sentence's beginning; marks beside it stand behind the same."""
    recent = _MARK.sub("", before[-_STATEMENT:]).rstrip()
    return next((part for part in reversed(_ENDS.split(recent)) if part.strip()), "")
