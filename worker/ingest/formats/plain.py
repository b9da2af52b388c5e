"""Text and source code, as they are: not a space is lost, and offsets are those of the file.

JSON and XML are read so too: their keys and tags are half of what they say, and no parser can be led astray.
"""

import codecs
import csv
from collections.abc import Iterator
from typing import BinaryIO

from worker.ingest.document import Part, Told, Unreadable, clean

PIECE = 1 << 18  # bytes that are decoded at once

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_text(file: BinaryIO) -> Told:
    """The file's text in pieces: UTF-8, or UTF-16 where a byte order mark says so. Raises Unreadable."""
    for piece in decoded(file):
        yield Part(piece)


def read_csv(file: BinaryIO) -> Told:
    """Row by row, each as it is written, so that none is cut in two; a quoted cell may have lines of its own."""
    source, row = _lines(file), list[str]()

    def remembered() -> Iterator[str]:
        for line in source:
            row.append(line)
            yield line

    try:
        for _ in csv.reader(remembered()):
            yield Part("".join(row), whole=True)
            row.clear()
    except csv.Error:  # a cell without end: lines it has all the same
        yield from (Part(line, whole=True) for line in row)
        yield from (Part(line, whole=True) for line in source)


def _lines(file: BinaryIO) -> Iterator[str]:
    rest = ""
    for piece in decoded(file):
        *lines, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in lines)
    if rest:
        yield rest


def decoded(file: BinaryIO) -> Iterator[str]:
    """The text, in pieces of some 250 kB. Raises Unreadable for what is no text."""
    head = file.read(4)
    file.seek(0)
    encoding = next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), "utf-8")
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while raw := file.read(PIECE):
            yield _checked(decoder.decode(raw))
        yield _checked(decoder.decode(b"", final=True))
    except UnicodeError:
        raise Unreadable("unsupported_file", "The file is not text in UTF-8 or UTF-16.") from None


def _checked(text: str) -> str:
    if "\0" in text:  # which no text has
        raise Unreadable("unsupported_file", "The file is not text in UTF-8 or UTF-16.")
    return clean(text)
