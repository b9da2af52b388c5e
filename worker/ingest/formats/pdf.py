"""PDF by pdfium: the text of each page, under the headings of the document's outline.

unstructured's own reader of PDF imports a library that wants torch and CUDA, and reads through pdfminer, at a
seventeenth of the speed. It guesses headings from the size of boxes; the outline says what they are. A page that is
nothing but pictures is read by tesseract where that is installed.
"""

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from typing import BinaryIO

import pypdfium2 as pdfium
from pypdfium2 import raw

from worker.ingest.document import PARAGRAPH, Outline, Pages, Part, Told, Unreadable, clean
from worker.ingest.formats.limits import OCR_DPI, OCR_PIXELS

_HYPHEN = re.compile("[\x02\ufffe\xad]\r?\n?")  # how pdfium marks the hyphen of a word that goes on in the next line
_SPACE = re.compile(r"\s+")
_POINTS = 72  # an inch


def read_pdf(file: BinaryIO) -> Told:
    """Page by page; a page is one part, or several where headings divide it. Raises Unreadable."""
    document = _opened(file)
    yield Pages(len(document))
    bookmarks, outline, said, unread = _bookmarks(document), Outline(), False, 0
    for number in range(1, len(document) + 1):
        page = document[number - 1]
        text = _text(page)
        if not text.strip() and _has_pictures(page):
            text = _recognised(page) if _tesseract() else ""
            unread += not text.strip()
        page.close()
        said = said or bool(text.strip())
        yield from _divided(text, number, bookmarks[number - 1], outline)
    if not said and unread:
        raise Unreadable("unsupported_file", _ONLY_PICTURES if _tesseract() is None else _NOTHING_RECOGNISED)
    if unread:
        yield Pages(len(document), unread)


_ONLY_PICTURES = (
    "The PDF has no text in it, only pictures of text. Reading these takes tesseract, which isn't installed on the "
    "server."
)
_NOTHING_RECOGNISED = "The PDF has no text in it, only pictures, in which no text was recognised."


def _opened(file: BinaryIO) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(file)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            message = "The PDF is protected with a password. Save it without, and try again."
            raise Unreadable("invalid_file", message) from None
        raise Unreadable("invalid_file", "The PDF is damaged or was cut off.") from None


def _text(page: pdfium.PdfPage) -> str:
    text = page.get_textpage().get_text_bounded()
    return clean(_HYPHEN.sub("", text).replace("\r\n", "\n"))


def _bookmarks(document: pdfium.PdfDocument) -> dict[int, list[tuple[int, str]]]:
    """Depth and title of the headings of each page, in their order."""
    found = defaultdict[int, list[tuple[int, str]]](list)
    for bookmark in document.get_toc():
        target, title = bookmark.get_dest(), clean(bookmark.get_title()).strip()
        if target is not None and title and (index := target.get_index()) is not None:
            found[index].append((bookmark.level, title))
    return found


def _divided(text: str, page: int, headings: list[tuple[int, str]], outline: Outline) -> Iterator[Part]:
    """The page cut before each heading that is found on it; one that isn't found begins with the page's rest."""
    lines = text.splitlines(keepends=True)
    plain = [_plain(line) for line in lines]
    begun = 0
    for depth, title in headings:
        wanted = _plain(title)
        place = next((n for n in range(begun, len(lines)) if plain[n] and _begins(plain[n], wanted)), begun)
        if before := "".join(lines[begun:place]):
            yield Part(before, page, outline.path)
        begun = place
        outline.enter(depth, title)
    if rest := "".join(lines[begun:]).rstrip():
        yield Part(rest + PARAGRAPH, page, outline.path)


def _plain(text: str) -> str:
    return _SPACE.sub("", text).casefold()


def _begins(line: str, title: str) -> bool:
    """Is this the line of that heading, or its first line? Numbers before it may be missing in the outline."""
    return line.endswith(title) or (len(line) > len(title) // 2 and title.startswith(line))


def _has_pictures(page: pdfium.PdfPage) -> bool:
    return any(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))


@cache
def _tesseract() -> tuple[str, str] | None:
    """The program and the languages that it can read, if it is there."""
    program = shutil.which("tesseract")
    if program is None:
        return None
    listed = subprocess.run(  # noqa: S603 # no shell, no word of the file
        [program, "--list-langs"], capture_output=True, text=True, check=False
    ).stdout
    languages = [line for line in listed.splitlines()[1:] if line and line != "osd"]
    return (program, "+".join(languages)) if languages else None


def _recognised(page: pdfium.PdfPage) -> str:
    """The text that tesseract finds in the picture of a page."""
    found = _tesseract()
    if found is None:
        return ""
    program, languages = found
    width, height = page.get_size()
    scale = min(OCR_DPI / _POINTS, (OCR_PIXELS / (width * height)) ** 0.5)
    picture = BytesIO()
    drawn = page.render(scale=scale, grayscale=True)  # pyright: ignore[reportArgumentType] # any number will do
    drawn.to_pil().save(picture, "PNG")
    command = [program, "stdin", "stdout", "-l", languages, "--dpi", str(OCR_DPI)]
    done = subprocess.run(  # noqa: S603 # likewise
        command, input=picture.getvalue(), capture_output=True, check=False
    )
    return clean(done.stdout.decode("utf-8", "replace").replace("\f", ""))
