"""Files that nobody would want to read: damaged, mislabelled, locked, swollen, or merely unusual, all made here.

Each has a name, its bytes, and what it must come to: `completed` with words that are in its text, or an error's code
with words that are in its message.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import docx
import openpyxl
import pptx
from fpdf import FPDF
from fpdf.enums import AccessPermission

COMPLETED = "completed"
UNSUPPORTED, INVALID = "unsupported_file", "invalid_file"


@dataclass(frozen=True)
class Beast:
    """`what` says what is wrong with it."""

    what: str
    filename: str
    content: bytes
    outcome: str
    says: str


def pdf(*pages: str, password: str | None = None) -> bytes:
    document = FPDF()
    document.set_font("Helvetica", size=12)
    for page in pages:
        document.add_page()
        document.multi_cell(0, None, page)
    if password is not None:
        document.set_encryption(owner_password="owner", user_password=password, permissions=AccessPermission.none())
    return bytes(document.output())


def _one_paragraph(document: Any) -> None:
    document.add_paragraph("Apples keep for months.")


def word(fill: Callable[[Any], None] = _one_paragraph) -> bytes:
    document, out = docx.Document(), io.BytesIO()
    fill(document)
    document.save(out)
    return out.getvalue()


def slides() -> bytes:
    presentation: Any = pptx.Presentation()
    out = io.BytesIO()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Apples"
    presentation.save(out)
    return out.getvalue()


def sheet(*rows: list[object]) -> bytes:
    book: Any = openpyxl.Workbook()
    out = io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(out)
    return out.getvalue()


def archive(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as package:
        for name, content in members.items():
            package.writestr(name, content)
    return out.getvalue()


def changed(package: bytes, others: Mapping[str, bytes]) -> bytes:
    """The same package with other, or more, members."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in others:
                new.writestr(name, old.read(name))
        for name, content in others.items():
            new.writestr(name, content)
    return out.getvalue()


def locked(package: bytes) -> bytes:
    """The package with the bit set that says of each member that it is encrypted."""
    raw = bytearray(package)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = raw.find(signature)
        while place >= 0:
            raw[place + flags] |= 1
            place = raw.find(signature, place + 4)
    return bytes(raw)


_LAUGHS = b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a0 "lol">' + b"".join(
    b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10)
)
_W = b'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_LAUGHING_WORD = (
    _LAUGHS + b"]><w:document " + _W + b"><w:body><w:p><w:r><w:t>&a9;</w:t></w:r></w:p></w:body></w:document>"
)
_OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><w:document '
    + _W
    + b"><w:body><w:p><w:r><w:t>Seen: &x;</w:t></w:r></w:p></w:body></w:document>"
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
_EPUB = {
    "mimetype": b"application/epub+zip",
    "META-INF/container.xml": b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    b'<rootfile full-path="b.opf"/></rootfiles></container>',
    "c.xhtml": b"<html><body><h1>One</h1><p>Apples keep.</p></body></html>",
}
_OPF = (
    b'<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="c" href="%s"/></manifest>'
    b'<spine><itemref idref="c"/></spine></package>'
)


def _table_without_end(document: Any) -> None:
    table = document.add_table(rows=60, cols=20)
    for row in table.rows:
        for cell in row.cells:
            cell.text = "apples"


def beasts() -> Iterator[Beast]:
    """All of them."""
    yield from _of_text()
    yield from _of_other_names()
    yield from _of_word()
    yield from _of_other_kinds()


def _of_text() -> Iterator[Beast]:
    yield Beast("empty", "a.txt", b"", INVALID, "is empty")
    yield Beast("empty, named PDF", "a.pdf", b"", INVALID, "is empty")
    yield Beast("spaces alone", "a.md", b" \n\t\n", INVALID, "no text in it")
    yield Beast("binary junk", "a.bin", bytes(range(256)) * 40, UNSUPPORTED, "binary")
    yield Beast("binary junk named text", "a.txt", bytes(range(256)) * 40, UNSUPPORTED, "binary")
    yield Beast("junk after four good kilobytes", "a.txt", b"word " * 2000 + b"\xff\xfe\0", UNSUPPORTED, "UTF-8")
    yield Beast("junk named PDF", "a.pdf", b"\x01\x02\x03" * 999, INVALID, "its content isn't pdf")
    yield Beast("Latin-1", "a.txt", "Äpfel".encode("latin-1"), UNSUPPORTED, "UTF-8")
    yield Beast("UTF-16", "a.txt", "Äpfel".encode("utf-16"), COMPLETED, "Äpfel")
    yield Beast("UTF-16 cut in two", "a.txt", "Äpfel".encode("utf-16")[:-1], UNSUPPORTED, "UTF-16")
    yield Beast("a mark of bytes alone", "a.txt", b"\xef\xbb\xbf", INVALID, "no text in it")
    yield Beast("right to left", "a.txt", "שלום עולם \u202eabc".encode(), COMPLETED, "שלום")
    yield Beast("emoji of many parts", "a.md", "# 👩‍👩‍👧‍👦 \n\n🏴󠁧󠁢󠁷󠁬󠁳󠁿 apples".encode(), COMPLETED, "👩‍👩‍👧‍👦")
    yield Beast("combining without end", "a.txt", ("a" + "\u0301" * 50_000).encode(), COMPLETED, "a\u0301")
    yield Beast("50 MB in one line", "a.txt", b"apple " * 8_700_000, INVALID, "tokens")
    yield Beast("3 MB of one letter", "a.json", b"a" * 3_000_000, COMPLETED, "aaaa")
    yield Beast("10,000 headings deep", "a.html", b"<div>" * 10_000 + b"apples", INVALID, "no text in it")
    yield Beast("HTML without an end", "a.html", b"<html><body><table><tr><td>apples", COMPLETED, "apples")
    yield Beast("HTML that is a script", "a.html", b"<script>alert('x')</script>", INVALID, "no text in it")
    yield Beast(
        "an image that calls home", "a.html", b"<p>apples<img src=http://127.0.0.1:1/x></p>", COMPLETED, "apples"
    )
    yield Beast("quotes without end", "a.csv", b'a,b\n"c,d\n' * 30_000, COMPLETED, "a,b")
    yield Beast("JSON nested 100,000 deep", "a.json", b"[" * 100_000 + b"1", COMPLETED, "[[")
    yield Beast("a million laughs", "a.xml", _LAUGHS + b"]><lolz>&a9;</lolz>", COMPLETED, "lolz")


def _of_other_names() -> Iterator[Beast]:
    good = word()
    yield Beast("PDF named text", "a.txt", pdf("Apples keep."), COMPLETED, "Apples keep.")
    yield Beast("text named PDF", "a.pdf", b"404 Not Found", INVALID, "its content isn't pdf")
    yield Beast("PDF named Word", "a.docx", pdf("Apples"), INVALID, "contains is pdf")
    yield Beast("Word named PDF", "a.pdf", good, INVALID, "contains is docx")
    yield Beast("Word without a name", "upload", good, COMPLETED, "Apples keep")
    yield Beast("PDF cut in two", "a.pdf", pdf("Apples keep.")[:300], INVALID, "damaged")
    yield Beast("PDF without its table", "a.pdf", pdf("Apples keep.").replace(b"xref", b"xxxx"), COMPLETED, "Apples")
    yield Beast("PDF with a password", "a.pdf", pdf("Apples", password="x"), INVALID, "password")
    yield Beast("PDF without a word", "a.pdf", pdf(""), INVALID, "no text in it")
    yield Beast("a head of PDF", "a.pdf", b"%PDF-1.7\n%%EOF", INVALID, "damaged")


def _of_word() -> Iterator[Beast]:
    good = word()
    macro = b"application/vnd.ms-word.document.macroEnabled.main+xml"
    plain = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    with zipfile.ZipFile(io.BytesIO(good)) as package:
        types = package.read("[Content_Types].xml")
    yield Beast("Word cut in two", "a.docx", good[: len(good) // 2], INVALID, "damaged")
    yield Beast("Word with a bit flipped", "a.docx", good[:200] + b"\xff" + good[201:], INVALID, "damaged")
    yield Beast("Word without its text", "a.docx", changed(good, {"word/document.xml": b"<x/>"}), INVALID, "damaged")
    yield Beast("laughs in Word", "a.docx", changed(good, {"word/document.xml": _LAUGHING_WORD}), INVALID, "")
    yield Beast("Word that looks outside", "a.docx", changed(good, {"word/document.xml": _OUTSIDE}), COMPLETED, "Seen:")
    yield Beast("macros inside", "a.docx", changed(good, {"word/vbaProject.bin": _OLE}), COMPLETED, "Apples keep")
    yield Beast(
        "macros by type",
        "a.docx",
        changed(good, {"[Content_Types].xml": types.replace(plain, macro)}),
        INVALID,
        "Word",
    )
    yield Beast("Word, encrypted", "a.docx", _OLE + "EncryptedPackage".encode("utf-16-le"), INVALID, "password")
    yield Beast("Word, its members encrypted", "a.docx", locked(good), INVALID, "password")
    yield Beast("Word of 1997", "a.doc", _OLE, UNSUPPORTED, "before 2007")
    yield Beast("a table of 1,200 cells", "a.docx", word(_table_without_end), COMPLETED, "apples | apples")


def _of_other_kinds() -> Iterator[Beast]:
    yield Beast("an archive", "a.zip", archive({"a.txt": b"apples"}), UNSUPPORTED, "archive")
    yield Beast("an archive in an archive", "a.docx", archive({"a.zip": archive({"a": b"b"})}), UNSUPPORTED, "archive")
    bomb = archive({"word/document.xml": bytes(300_000_000)})
    yield Beast("a bomb named Word", "a.docx", bomb, INVALID, "when unpacked")
    yield Beast("a bomb of members", "a.xlsx", _members(25_000), INVALID, "package of")
    yield Beast(
        "10,000 columns", "a.xlsx", sheet(list(range(10_000)), ["apples"] * 10_000), COMPLETED, "apples | apples"
    )
    yield Beast("a sheet without a row", "a.xlsx", sheet(), INVALID, "no text in it")
    yield Beast("a cell far away", "a.xlsx", _far_away(), COMPLETED, "apples")
    yield Beast("slides", "a.pptx", slides(), COMPLETED, "Apples")
    yield Beast("slides without slides", "a.pptx", changed(slides(), {"ppt/presentation.xml": b""}), INVALID, "damaged")
    yield Beast("a book", "a.epub", archive({**_EPUB, "b.opf": _OPF % b"c.xhtml"}), COMPLETED, "Apples keep.")
    yield Beast("a book of nothing", "a.epub", archive({**_EPUB, "b.opf": _OPF % b"d.xhtml"}), INVALID, "no text in it")
    yield Beast("a book without contents", "a.epub", archive(_EPUB), INVALID, "damaged")
    yield Beast("RTF without an end", "a.rtf", b"{\\rtf1 Apples {\\b keep", COMPLETED, "Apples")
    yield Beast("RTF of braces", "a.rtf", b"{\\rtf1" + b"{" * 50_000, INVALID, "no text in it")
    yield Beast(
        "a mail of parts without parts", "a.eml", b"Content-Type: multipart/mixed\n\n", INVALID, "no text in it"
    )
    yield Beast(
        "a mail in no known charset",
        "a.eml",
        b"Subject: Apples\nContent-Type: text/plain; charset=x-none\n\nhi\n",
        COMPLETED,
        "Apples",
    )
    yield Beast("an image", "a.png", b"\x89PNG\r\n\x1a\n" + bytes(99), UNSUPPORTED, "an image")
    yield Beast("a program named text", "a.txt", b"\x7fELF" + bytes(99), UNSUPPORTED, "a program")
    yield Beast("surrogates in JSON", "a.json", json.dumps({"a": "\ud83c\udf4e \ud800"}).encode(), COMPLETED, "ud800")
    yield Beast("a name that climbs", "../../etc/passwd", b"apples", COMPLETED, "apples")


def _members(number: int) -> bytes:
    return archive({"xl/workbook.xml": b"", **{f"m{n}": b"" for n in range(number)}}, zipfile.ZIP_STORED)


def _far_away() -> bytes:
    book: Any = openpyxl.Workbook()
    out = io.BytesIO()
    book.active["XFD1048576"] = "apples"
    book.save(out)
    return out.getvalue()
