"""From unstructured's elements to parts."""

from collections.abc import Iterable

import lxml.html
from unstructured.documents.elements import Element, ListItem, PageBreak, Table, Title

from worker.ingest.document import PARAGRAPH, Outline, Part, Told, clean

LANGUAGES = [""]  # what partitioners are to be given: they don't guess then
BULLET = "- "


def parts(elements: Iterable[Element], outline: Outline | None = None, *, heading_depths: int = 9) -> Told:
    """Each element as a part: list items with a dash and by their depth, tables row by row with a bar between cells.

    Titles as deep as `heading_depths`, or deeper, are text like any other.
    """
    outline = outline or Outline()
    after_item = False
    for element in elements:
        if isinstance(element, PageBreak):
            continue
        page, depth = element.metadata.page_number, element.metadata.category_depth
        text = clean(element.text)
        if isinstance(element, ListItem):
            text = "  " * max(0, (depth or 0) - 1) + BULLET + text
        if after_item and not isinstance(element, ListItem):
            yield Part("\n", page, outline.path)
        after_item = isinstance(element, ListItem)
        if isinstance(element, Title) and depth is not None and depth < heading_depths and text.strip():
            outline.enter(depth, text)
        if isinstance(element, Table):
            text = "\n".join(_rows(element))
        if text.strip():
            after = "\n" if after_item else PARAGRAPH
            yield Part(text + after, page, outline.path, whole=isinstance(element, Table))


def _rows(table: Table) -> Iterable[str]:
    if not table.metadata.text_as_html:
        return clean(table.text).splitlines()
    root = lxml.html.fragment_fromstring(table.metadata.text_as_html)
    return (row_of("".join(cell.itertext()) for cell in row.iter("td", "th")) for row in root.iter("tr"))


def row_of(cells: Iterable[str]) -> str:
    """A row of a table in one line."""
    return " | ".join(" ".join(clean(cell).split()) for cell in cells).rstrip(" |")
