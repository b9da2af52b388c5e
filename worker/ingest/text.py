"""Which files can be read, and what they say."""

import codecs
from pathlib import PurePosixPath

# Not text at all, or text that means something else than it says; each is refused under its own name.
_FORMATS = {
    **dict.fromkeys(["pdf"], "PDF files"),
    **dict.fromkeys(["doc", "docx", "odt", "rtf"], "Word processor files"),
    **dict.fromkeys(["ppt", "pptx", "odp"], "Presentations"),
    **dict.fromkeys(["xls", "xlsx", "ods"], "Spreadsheets"),
    **dict.fromkeys(["html", "htm", "xhtml"], "HTML pages"),
    **dict.fromkeys(["epub", "mobi"], "E-books"),
    **dict.fromkeys(["eml", "msg", "mbox"], "E-mails"),
    **dict.fromkeys(["png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "svg"], "Images"),
    **dict.fromkeys(["zip", "gz", "tgz", "tar", "bz2", "xz", "7z", "rar"], "Archives"),
}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Unreadable(Exception):
    """The file can't be indexed; `code` and the message are those of its `last_error`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def check_format(filename: str) -> None:
    """Refuse by name what would otherwise be read only to be refused. Raises Unreadable."""
    suffix = PurePosixPath(filename).suffix.lower().removeprefix(".")
    if suffix in _FORMATS:
        message = f"{_FORMATS[suffix]} (.{suffix}) can't be read: this server reads plain text."
        raise Unreadable("unsupported_file", message)


def decode(raw: bytes) -> str:
    """The file's text: UTF-8, or UTF-16 where a byte order mark says so. Raises Unreadable."""
    encoding = next((encoding for mark, encoding in _MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # which no text has, and Postgres can't keep
        raise Unreadable("unsupported_file", "The file is not text in UTF-8 or UTF-16.")
    if not text.strip():
        raise Unreadable("invalid_file", "The file has no text in it.")
    return text
