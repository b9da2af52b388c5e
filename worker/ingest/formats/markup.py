"""Web pages, Markdown, e-books (which are web pages in a package) and RTF."""

import posixpath
import zipfile
from io import BytesIO
from typing import BinaryIO
from urllib.parse import unquote

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] # compiled, without stubs
from striprtf.striprtf import rtf_to_text
from unstructured.partition.html import partition_html
from unstructured.partition.md import partition_md

from worker.ingest.document import PARAGRAPH, Outline, Part, Told, Unreadable, clean
from worker.ingest.formats.archive import check_package
from worker.ingest.formats.elements import LANGUAGES, parts
from worker.ingest.formats.plain import decoded

_CONTAINER = "META-INF/container.xml"


def read_html(file: BinaryIO) -> Told:
    """A page, in the encoding that it declares, scripts and styles left out."""
    return parts(partition_html(file=file, languages=LANGUAGES))


def read_markdown(file: BinaryIO) -> Told:
    """Markdown without its marks. Raises Unreadable where it isn't text."""
    return parts(partition_md(text="".join(decoded(file)), languages=LANGUAGES))


def read_epub(file: BinaryIO) -> Told:
    """The chapters in the order of the spine. Raises Unreadable."""
    check_package(file)
    outline = Outline()
    with zipfile.ZipFile(file) as package:
        for name in _spine(package):
            chapter = BytesIO(package.read(name))
            yield from parts(partition_html(file=chapter, languages=LANGUAGES), outline)


def _spine(package: zipfile.ZipFile) -> list[str]:
    """The names of the chapters that the package has, in reading order."""
    if "META-INF/encryption.xml" in package.namelist() and b"xmlenc#" in package.read("META-INF/encryption.xml"):
        raise Unreadable("invalid_file", "The e-book is protected against copying.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    container = etree.fromstring(package.read(_CONTAINER), parser)
    opf = next(str(root.get("full-path")) for root in container.iter("{*}rootfile"))
    book = etree.fromstring(package.read(opf), parser)
    where = {item.get("id"): item.get("href") for item in book.iter("{*}item")}
    hrefs = [where.get(item.get("idref")) for item in book.iter("{*}itemref")]
    names = [posixpath.normpath(posixpath.join(posixpath.dirname(opf), unquote(href))) for href in hrefs if href]
    there = set(package.namelist())
    return [name for name in names if name in there]


def read_rtf(file: BinaryIO) -> Told:
    """The text of an RTF file, by paragraphs."""
    text = rtf_to_text(file.read().decode("latin-1"), errors="replace")
    for paragraph in clean(text).splitlines():
        if paragraph.strip():
            yield Part(paragraph.strip() + PARAGRAPH)
