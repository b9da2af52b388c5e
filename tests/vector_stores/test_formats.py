"""What is read of good files: their words, in order, on their pages, under their headings, at their offsets."""

import asyncio
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

from tests.vector_stores.zoo import archive
from worker.ingest.children import Children
from worker.ingest.document import Unreadable
from worker.ingest.protocol import Job, Progress

Chunks = list[dict[str, Any]]


@pytest.fixture
async def readers() -> AsyncIterator[Children]:
    children = Children()
    yield children
    await children.close()


async def read(readers: Children, name: str, content: bytes, size: int = 100, overlap: int = 0) -> Chunks:
    """The chunks, after a look at whether they fit together. Raises Unreadable."""
    chunks = [chunk for told in await progress(readers, name, content, size, overlap) for chunk in told["chunks"]]
    assert [chunk["position"] for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert all(len(chunk["text"]) == chunk["ends"] - chunk["begins"] for chunk in chunks)
    return chunks


async def progress(readers: Children, name: str, content: bytes, size: int = 100, overlap: int = 0) -> list[Progress]:
    """What the reader tells, but for its last word. Raises Unreadable."""
    job = Job(name, size, overlap, 5_000_000, 2048 << 20, 60)
    frames: list[Progress] = []
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        async with asyncio.timeout(60), readers.reading(job, file) as told:
            async for frame in told:
                match frame["kind"]:
                    case "progress":
                        frames.append(frame)
                    case "failed":
                        raise Unreadable(frame["code"], frame["message"])
                    case "done":
                        pass
    return frames


def page_of(chunk: Any, words: str) -> int:
    """The page on which the words stand, however the lines are broken."""
    place = re.search(r"\s+".join(map(re.escape, words.split())), chunk["text"])
    assert place is not None
    return next((page for begins, page in reversed(chunk["pages"]) if begins <= place.start()), chunk["page"])


def text_of(chunks: Chunks) -> str:
    """Put together again by the offsets."""
    text = ""
    for chunk in chunks:
        text += chunk["text"][len(text) - chunk["begins"] :]
    return text


def holding(chunks: Chunks, words: str) -> dict[str, Any]:
    (found, *_) = [chunk for chunk in chunks if words in chunk["text"]]
    return found


async def test_a_pdf_of_300_pages(readers: Children) -> None:
    """Each page's own sentence is on it, under its chapter, and found by its offsets."""
    document = FPDF()
    document.set_font("Helvetica", size=11)
    for page in range(1, 301):
        document.add_page()
        if page % 30 == 1:
            document.start_section(f"Chapter {page // 30 + 1}")
            document.cell(text=f"Chapter {page // 30 + 1}", new_x="LMARGIN", new_y="NEXT")
        document.multi_cell(0, None, f"The secret of page {page} is number {page * 7919}. " + "Apples keep. " * 120)

    chunks = await read(readers, "a.pdf", bytes(document.output()), 400, 100)

    whole = text_of(chunks)
    for page in range(1, 301):
        secret = f"The secret of page {page} is number {page * 7919}."
        assert secret in " ".join(whole.split())
        (first, *_) = [
            chunk for chunk in chunks if secret.split(" is ", maxsplit=1)[0] in " ".join(chunk["text"].split())
        ]
        assert first["page"] in (page - 1, page)
        assert page_of(first, f"The secret of page {page}") == page
        assert first["headings"] in ([f"Chapter {(p - 1) // 30 + 1}"] for p in (max(1, page - 1), page))
    begins = {chunk["page"] for chunk in chunks}
    assert begins == set(range(1, 301))
    ordered = [chunk["page"] for chunk in chunks]
    assert ordered == sorted(ordered)


async def test_headings_within_a_page_of_a_pdf(readers: Children) -> None:
    document = FPDF()
    document.set_font("Helvetica", size=11)
    document.add_page()
    for number, level in ((1, 0), (2, 1), (3, 0)):
        document.start_section(f"Part {number}", level=level)
        document.multi_cell(0, None, f"Part {number}", new_x="LMARGIN", new_y="NEXT")
        document.multi_cell(0, None, f"word{number} " * 95, new_x="LMARGIN", new_y="NEXT")

    chunks = await read(readers, "a.pdf", bytes(document.output()))

    headings = [chunk["headings"] for chunk in chunks]
    assert headings[0] == ["Part 1"]
    assert ["Part 1", "Part 2"] in headings
    assert headings[-1] == ["Part 3"]


def scanned(words: str) -> bytes:
    """A PDF whose page is a picture of these words."""
    document = FPDF()
    document.add_page()
    document.image(picture_of(words), 0, 0, 210)
    return bytes(document.output())


def picture_of(words: str) -> Image.Image:
    picture = Image.new("L", (1240, 400), 255)
    ImageDraw.Draw(picture).text((60, 120), words, fill=0, font=ImageFont.load_default(size=64))
    return picture


async def test_a_scan_where_there_is_no_tesseract(readers: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unreadable, match="tesseract, which isn't installed") as caught:
        await read(readers, "a.pdf", scanned("Apples"))
    assert caught.value.code == "unsupported_file"


async def test_pages_that_can_not_be_read_among_others_are_counted(
    readers: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    pdf = FPDF()
    pdf.set_font("Helvetica", size=11)
    pdf.add_page()
    pdf.write(text="Apples keep for months.")
    for _ in range(2):
        pdf.add_page()
        pdf.image(picture_of("Pears"), w=100)

    told = await progress(readers, "a.pdf", bytes(pdf.output()))

    assert "Apples keep" in told[-1]["chunks"][0]["text"]
    assert (told[-1]["pages"], told[-1]["pages_unread"]) == (3, 2)


async def test_a_scan_goes_through_tesseract(
    readers: Children, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that stands in for it: it gets a picture and says what it is told to."""
    program = tmp_path / "tesseract"
    program.write_text(
        '#!/bin/sh\nif [ "$1" = --list-langs ]; then printf "List of:\\neng\\nosd\\ndeu\\n"; exit; fi\n'
        'head -c 4 | tail -c 3; echo " $4 apples"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    chunks = await read(readers, "a.pdf", scanned("Apples"))

    assert text_of(chunks).strip() == "PNG eng+deu apples"
    assert chunks[0]["page"] == 1


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract isn't installed on this machine")
async def test_a_scan_is_recognised(readers: Children) -> None:
    assert "Apples keep" in text_of(await read(readers, "a.pdf", scanned("Apples keep for months")))


async def test_a_word_file(readers: Children) -> None:
    document, out = docx.Document(), io.BytesIO()
    document.add_heading("Fruit", 1)
    document.add_heading("Apples", 2)
    document.add_paragraph("They keep for months. " * 20)
    document.add_paragraph("cool", style="List Bullet")
    document.add_paragraph("dark", style="List Bullet")
    table = document.add_table(rows=8, cols=3)
    for number, row in enumerate(table.rows):
        for cell, word in zip(row.cells, (f"kind{number}", "weeks", str(number * 3)), strict=True):
            cell.text = word
    document.add_heading("Pears", 2)
    document.add_paragraph("They don't.")
    document.save(out)

    chunks = await read(readers, "a.docx", out.getvalue())

    whole = text_of(chunks)
    assert "Fruit\n\nApples\n\nThey keep" in whole
    assert "- cool\n- dark\n\nkind0 | weeks | 0\nkind1 | weeks | 3\n" in whole
    assert whole.rstrip().endswith("Pears\n\nThey don't.")
    table_chunk = holding(chunks, "kind0")
    assert "kind7 | weeks | 21" in table_chunk["text"]
    assert table_chunk["headings"] == ["Fruit", "Apples"]
    assert chunks[0]["headings"] == ["Fruit"]


async def test_slides(readers: Children) -> None:
    presentation: Any = pptx.Presentation()
    out = io.BytesIO()
    for number in (1, 2):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = "apples " * 99
        slide.notes_slide.notes_text_frame.text = f"note {number}"
    presentation.save(out)

    chunks = await read(readers, "a.pptx", out.getvalue())

    assert chunks[0]["page"] == 1
    assert chunks[-1]["page"] == 2
    assert holding(chunks, "note 2")["headings"] in (["Slide 1"], ["Slide 2"])
    assert "Slide 2\n\napples apples" in text_of(chunks)


async def test_a_spreadsheet(readers: Children) -> None:
    book: Any = openpyxl.Workbook()
    out = io.BytesIO()
    book.active.title = "Stock"
    for number in range(300):
        book.active.append([f"item{number}", number, None, number / 4])
    book.create_sheet("Prices").append(["apples", 3])
    book.save(out)

    chunks = await read(readers, "a.xlsx", out.getvalue())

    rows = [line for chunk in chunks for line in chunk["text"].splitlines() if line.startswith("item")]
    assert rows == [
        f"item{number} | {number} |  | {number / 4 if number % 4 else number // 4}" for number in range(300)
    ]
    assert holding(chunks, "item299")["headings"] == ["Stock"]
    assert (chunks[0]["page"], text_of(chunks).rstrip().endswith("Prices\n\napples | 3")) == (1, True)


async def test_pages_of_the_web(readers: Children) -> None:
    page = "<h1>Fruit</h1><p>Intro.</p><h2>Apples</h2><p>{}</p><ul><li>cool<li>dark</ul><pre>a\n  b</pre>"
    page += "<h2>Pears</h2><p>No.</p>"
    chunks = await read(readers, "a.html", page.format("They keep. " * 60).encode())

    whole = text_of(chunks)
    assert "- cool\n- dark\n\na\n  b\n\nPears\n\nNo." in whole
    assert chunks[1]["headings"] == ["Fruit", "Apples"]


async def test_markdown(readers: Children) -> None:
    text = "# Fruit\n\nÄpfel & *pears*\n\n## Code\n\n```python\ndef f():\n    return 1\n```\n"
    text += "\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    chunks = await read(readers, "a.md", text.encode())

    assert text_of(chunks).strip() == "Fruit\n\nÄpfel & pears\n\nCode\n\ndef f():\n    return 1\n\na | b\n1 | 2"


@pytest.mark.parametrize("name", ["a.py", "a.txt", "a.json", "a.xml", "a.csv", "Makefile", "a.tex"])
async def test_what_is_read_as_it_is(readers: Children, name: str) -> None:
    """Not a character is lost or changed, in whatever language."""
    text = "def f(x):\n\tif x:\n\t\treturn 'Äpfel 🍎'\n\n  <tag a=\"1\"/>,\r\n" * 60
    assert text_of(await read(readers, name, text.encode(), 100, 50)) == text


async def test_a_book(readers: Children) -> None:
    container = b"<container><rootfiles><rootfile full-path='x/b.opf'/></rootfiles></container>"
    opf = (
        b"<package><manifest><item id='1' href='one%20a.xhtml'/><item id='2' href='two.xhtml'/></manifest>"
        b"<spine><itemref idref='2'/><itemref idref='1'/></spine></package>"
    )
    members = {
        "x/b.opf": opf,
        "x/one a.xhtml": b"<h1>One</h1><p>first</p>",
        "x/two.xhtml": b"<h1>Two</h1><p>second</p>",
    }
    book = archive({"mimetype": b"application/epub+zip", "META-INF/container.xml": container, **members})

    assert text_of(await read(readers, "a.epub", book)).split() == ["Two", "second", "One", "first"]


async def test_a_mail(readers: Children) -> None:
    mail = (
        "From: =?utf-8?q?J=C3=BCrg?= <a@b.c>\r\nTo: d@e.f\r\nSubject: Apples\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="x"\r\n\r\n'
        "--x\r\nContent-Type: text/html\r\n\r\n<p>They <b>keep</b>.</p>"
        '\r\n--x\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename="list.txt"\r\n\r\nx'
        "\r\n--x--\r\n"
    )
    chunks = await read(readers, "a.eml", mail.encode())

    whole = text_of(chunks)
    assert "From: Jürg <a@b.c>\nTo: d@e.f\nSubject: Apples\n\nThey keep." in whole
    assert "Attached: list.txt" in whole
    assert chunks[0]["headings"] == ["Apples"]
