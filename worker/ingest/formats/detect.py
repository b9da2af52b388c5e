"""What a file is: by its content first, by its name where content can't tell.

A name that promises a format which the content isn't is refused: what comes out of such files is garbage, or the page
of some error that was saved in place of the document.
"""

import codecs
import zipfile
from pathlib import PurePosixPath
from typing import BinaryIO

from worker.ingest.document import Unreadable

HEAD = 4096  # bytes that are looked at

_MAGIC = (
    (b"{\\rtf", "rtf"),
    (b"\x89PNG\r\n\x1a\n", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"II*\0", "an image"),
    (b"MM\0*", "an image"),
    (b"\x1f\x8b", "an archive"),
    (b"BZh", "an archive"),
    (b"\xfd7zXZ\0", "an archive"),
    (b"7z\xbc\xaf\x27\x1c", "an archive"),
    (b"Rar!\x1a\x07", "an archive"),
    (b"(\xb5/\xfd", "an archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\0asm", "a program"),
    (b"ID3", "a sound"),
    (b"OggS", "a sound"),
    (b"fLaC", "a sound"),
    (b"RIFF", "a sound, a film or an image"),
    (b"\x1aE\xdf\xa3", "a film"),
    (b"SQLite format 3\0", "a database"),
    (b"%!PS", "PostScript"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Office until 2003, Outlook, and whatever Office encrypts
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_PROMISED = {  # suffixes whose content is nothing but what they say
    **dict.fromkeys(["pdf"], "pdf"),
    **dict.fromkeys(["docx"], "docx"),
    **dict.fromkeys(["pptx"], "pptx"),
    **dict.fromkeys(["xlsx"], "xlsx"),
    **dict.fromkeys(["epub"], "epub"),
    **dict.fromkeys(["rtf"], "rtf"),
}
_OF_TEXT = {
    **dict.fromkeys(["html", "htm", "xhtml"], "html"),
    **dict.fromkeys(["md", "markdown"], "markdown"),
    **dict.fromkeys(["csv", "tsv"], "csv"),
    **dict.fromkeys(["eml"], "email"),
}
_REFUSED = {
    **dict.fromkeys(["doc", "docm", "dot", "dotx", "dotm"], "a Word file of another kind than .docx"),
    **dict.fromkeys(["ppt", "pptm", "pps", "ppsx"], "a presentation of another kind than .pptx"),
    **dict.fromkeys(["xls", "xlsm", "xlsb"], "a spreadsheet of another kind than .xlsx"),
    **dict.fromkeys(["odt", "ods", "odp"], "an OpenDocument file"),
    **dict.fromkeys(["msg", "mbox", "pst"], "mail of another kind than .eml"),
    **dict.fromkeys(["mobi", "azw3"], "an e-book of another kind than .epub"),
    **dict.fromkeys(["png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "svg", "heic"], "an image"),
    **dict.fromkeys(["zip", "gz", "tgz", "tar", "bz2", "xz", "7z", "rar", "zst"], "an archive"),
}
_PACKAGES = (  # a member that only this kind of package has
    ("word/document.xml", "docx"),
    ("ppt/presentation.xml", "pptx"),
    ("xl/workbook.xml", "xlsx"),
    ("META-INF/container.xml", "epub"),
)
READABLE = "pdf, docx, pptx, xlsx, epub, rtf, html, md, csv, eml, and any text or source code in UTF-8 or UTF-16"


def suffix_of(filename: str) -> str:
    """In lower case, without its dot; empty if there is none."""
    return PurePosixPath(filename.replace("\\", "/")).suffix.lower().removeprefix(".")


def detect(file: BinaryIO, filename: str) -> str:
    """The name of the reader to use. Raises Unreadable. The file is left at its beginning."""
    head = file.read(HEAD)
    file.seek(0)
    suffix = suffix_of(filename)
    if not head:
        raise Unreadable("invalid_file", "The file is empty.")
    found = _by_content(file, head)
    if found is None:
        return _text(head, suffix)
    if (promised := _PROMISED.get(suffix)) is not None and promised != found:
        raise Unreadable("invalid_file", f"The file is named .{suffix}, but what it contains is {found}.")
    return found


def _by_content(file: BinaryIO, head: bytes) -> str | None:
    """The format that begins like this; None for what may be text. Raises Unreadable for others by name."""
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(_ZIP):
        return _package(file)
    if head.startswith(_OLE):
        raise _ole(file)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            if name == "rtf":
                return name
            raise Unreadable("unsupported_file", f"The file is {name}, which can't be read. Readable are {READABLE}.")
    return None


def _package(file: BinaryIO) -> str:
    try:
        with zipfile.ZipFile(file) as package:
            names = set(package.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        message = "The file is an Office file, an e-book or an archive that is damaged or was cut off."
        raise Unreadable("invalid_file", message) from None
    finally:
        file.seek(0)
    for member, kind in _PACKAGES:
        if member in names:
            return kind
    if "content.xml" in names and "mimetype" in names:
        raise Unreadable("unsupported_file", f"The file is an OpenDocument file. Readable are {READABLE}.")
    raise Unreadable(
        "unsupported_file", f"The file is an archive; put its files in one by one. Readable are {READABLE}."
    )


def _ole(file: BinaryIO) -> Unreadable:
    overlap = b""
    while part := file.read(1 << 20):
        if _ENCRYPTED in overlap + part:
            return Unreadable("invalid_file", "The file is protected with a password. Save it without, and try again.")
        overlap = part[-len(_ENCRYPTED) :]
    message = f"The file is of Office before 2007, or a mail of Outlook. Save it as another kind: {READABLE}."
    return Unreadable("unsupported_file", message)


def _text(head: bytes, suffix: str) -> str:
    if (kind := _PROMISED.get(suffix)) is not None:
        raise Unreadable("invalid_file", f"The file is named .{suffix}, but its content isn't {kind}.")
    if (said := _REFUSED.get(suffix)) is not None:
        raise Unreadable(
            "unsupported_file", f"The file is named like {said}, which can't be read. Readable are {READABLE}."
        )
    if b"\0" in head and not head.startswith(_MARKS):
        raise Unreadable("unsupported_file", f"The file is binary, and of no known kind. Readable are {READABLE}.")
    if (kind := _OF_TEXT.get(suffix)) is not None:
        return kind
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:100].lower()
    if not suffix and start.startswith((b"<!doctype html", b"<html")):
        return "html"
    return "text"
