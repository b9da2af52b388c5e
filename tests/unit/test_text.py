"""Which files count as text."""

import pytest

from worker.ingest.text import Unreadable, check_format, decode


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Äpfel".encode(), "Äpfel"),
        (b"\xef\xbb\xbfmarked", "marked"),
        ("Äpfel".encode("utf-16"), "Äpfel"),
        (b"\xfe\xff" + "Äpfel".encode("utf-16-be"), "Äpfel"),
    ],
)
def test_text_is_decoded(raw: bytes, text: str) -> None:
    assert decode(raw) == text


@pytest.mark.parametrize("raw", [b"\x89PNG\r\n\x1a\n\0\0", "Äpfel".encode("latin-1"), b"nul \0 nul", b"\xff\xfe\x00"])
def test_what_is_no_text_is_unsupported(raw: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(raw)
    assert (caught.value.code, caught.value.message) == ("unsupported_file", "The file is not text in UTF-8 or UTF-16.")


@pytest.mark.parametrize("raw", [b"", b" \n\t ", b"\xef\xbb\xbf"])
def test_what_says_nothing_is_invalid(raw: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(raw)
    assert caught.value.code == "invalid_file"


@pytest.mark.parametrize(
    "name", ["a.txt", "a.md", "a.py", "a.json", "a.csv", "a.tex", "Makefile", "upload", ".pdf", "a.b.c"]
)
def test_names_of_text(name: str) -> None:
    check_format(name)


@pytest.mark.parametrize(
    ("name", "said"), [("A.PDF", "PDF files (.pdf)"), ("a.docx", "Word"), ("a.tar.gz", "Archives")]
)
def test_names_of_other_formats(name: str, said: str) -> None:
    with pytest.raises(Unreadable, match="can't be read") as caught:
        check_format(name)
    assert caught.value.message.startswith(said)
