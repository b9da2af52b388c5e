"""Word, PowerPoint and Excel files as they have been since 2007. Macros in them are bytes that nobody looks at."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO

from openpyxl import load_workbook
from unstructured.partition.docx import partition_docx
from unstructured.partition.pptx import partition_pptx

from worker.ingest.document import PARAGRAPH, Outline, Pages, Part, Told
from worker.ingest.formats.archive import check_package
from worker.ingest.formats.elements import LANGUAGES, parts, row_of
from worker.ingest.formats.limits import TABLE_AT_ONCE


def read_docx(file: BinaryIO) -> Told:
    """Paragraphs, lists and tables under their headings; with pages where Word has noted their ends in the file."""
    check_package(file)
    return parts(partition_docx(file=file, languages=LANGUAGES))


def read_pptx(file: BinaryIO) -> Told:
    """Slides as pages, each under its title, with the speaker's notes."""
    check_package(file)
    elements = partition_pptx(file=file, languages=LANGUAGES, include_slide_notes=True)
    slides = max((element.metadata.page_number or 0 for element in elements), default=0)
    return chain([Pages(slides)], parts(elements, heading_depths=1))


def read_xlsx(file: BinaryIO) -> Told:
    """Sheets as pages, each under its name, row by row: of a sheet of any length little is held. Values, not formulas.

    unstructured's reader is not used: it holds the sheet several times over as a data frame, and compares every cell
    with every other one to find tables in it.
    """
    check_package(file)
    book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    yield Pages(len(book.worksheets))
    for number, sheet in enumerate(book.worksheets, 1):
        outline = Outline()
        outline.enter(0, sheet.title)
        sheet.reset_dimensions()  # what it says of them decides how many empty cells each row would be filled up with
        rows = _rows(sheet.iter_rows(values_only=True))
        if (first := next(rows, None)) is None:
            continue
        yield Part(sheet.title + PARAGRAPH, number, outline.path)
        for text in _together(chain([first], rows)):
            yield Part(text, number, outline.path, whole=True)
        yield Part("\n", number, outline.path)


def _rows(rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """The rows that have something in them."""
    for cells in rows:
        if row := row_of("" if cell is None else str(cell) for cell in cells):
            yield f"{row}\n"


def _together(rows: Iterator[str]) -> Iterator[str]:
    """All rows as one text if there are few, else one by one."""
    held, size = list[str](), 0
    for row in rows:
        held.append(row)
        size += len(row)
        if size > TABLE_AT_ONCE:
            yield from held
            yield from rows
            return
    yield "".join(held)
