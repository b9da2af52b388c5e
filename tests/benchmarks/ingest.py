"""What reading files costs: pages a second of one core, and memory, by format. `python -m tests.benchmarks.ingest`.

A page is 3,000 characters of text, whatever the format; files of 100 pages are made here. Time is
that of a file from the job to the last chunk, with everything loaded; the best of three.
"""

import asyncio
import io
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import docx
import openpyxl
import pptx
from fpdf import FPDF

from worker.ingest.children import Children
from worker.ingest.protocol import Job

PARAGRAPH = "The engine of an assistant waits for a model most of its life; reading files is what takes its processor. "
PAGE = (PARAGRAPH * 10)[:1000]  # a third of one


class Cost(NamedTuple):
    """Of one file."""

    seconds: float
    peak_bytes: int
    chunks: int


def as_text(pages: int) -> bytes:
    return "\n\n".join([PAGE] * 3 * pages).encode()


def as_markdown(pages: int) -> bytes:
    return "\n\n".join(f"## Page {n}\n\n{PAGE}\n\n- one\n- two\n\n{PAGE}\n\n{PAGE}" for n in range(pages)).encode()


def as_html(pages: int) -> bytes:
    return "".join(f"<h2>Page {n}</h2>" + f"<p>{PAGE}</p>" * 3 for n in range(pages)).encode()


def as_pdf(pages: int) -> bytes:
    document = FPDF()
    document.set_font("Helvetica", size=10)
    for number in range(pages):
        document.add_page()
        document.start_section(f"Page {number}")
        document.multi_cell(0, None, PAGE * 3)
    return bytes(document.output())


def as_docx(pages: int) -> bytes:
    document, out = docx.Document(), io.BytesIO()
    for number in range(pages):
        document.add_heading(f"Page {number}", 2)
        for _ in range(3):
            document.add_paragraph(PAGE)
    document.save(out)
    return out.getvalue()


def as_pptx(pages: int) -> bytes:
    presentation: Any = pptx.Presentation()
    out = io.BytesIO()
    for number in range(pages):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = f"Page {number}"
        slide.placeholders[1].text = "\n".join([PAGE] * 3)
    presentation.save(out)
    return out.getvalue()


def as_xlsx(pages: int) -> bytes:
    book: Any = openpyxl.Workbook()
    out = io.BytesIO()
    for number in range(pages * 60):  # 50 characters a row
        book.active.append([number, "apples", "keep for months", number / 7, "in a cool room"])
    book.save(out)
    return out.getvalue()


FORMATS: dict[str, Callable[[int], bytes]] = {
    "txt": as_text,
    "md": as_markdown,
    "html": as_html,
    "pdf": as_pdf,
    "docx": as_docx,
    "pptx": as_pptx,
    "xlsx": as_xlsx,
}


async def cost(readers: Children, name: str, content: bytes) -> Cost:
    """Read it once. Raises RuntimeError if it can't be."""
    job = Job(name, 800, 400, 5_000_000, 2 << 30, 600)
    chunks = 0
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        began = time.perf_counter()
        async with readers.reading(job, file) as frames:
            async for frame in frames:
                match frame["kind"]:
                    case "progress":
                        chunks += len(frame["chunks"])
                    case "done":
                        return Cost(time.perf_counter() - began, frame["peak_bytes"], chunks)
                    case "failed":
                        raise RuntimeError(frame["message"])
    raise RuntimeError("the reader said nothing")


async def measure(pages: int, times: int = 3) -> dict[str, tuple[int, Cost]]:
    """Of each format: pages, and the cost of the quickest reading."""
    readers = Children()
    found = dict[str, tuple[int, Cost]]()
    try:
        await cost(readers, "warm.html", b"<p>up</p>")
        for name, make in FORMATS.items():
            content = make(pages)
            costs = [await cost(readers, f"a.{name}", content) for _ in range(times)]
            found[name] = pages, min(costs)
    finally:
        await readers.close()
    return found


def main() -> None:
    """Print the table."""
    print(f"{'format':8} {'pages':>6} {'pages/s':>9} {'peak MB':>8} {'chunks':>7}")
    for name, (pages, one) in asyncio.run(measure(100)).items():
        print(f"{name:8} {pages:6} {pages / one.seconds:9.0f} {one.peak_bytes >> 20:8} {one.chunks:7}")


if __name__ == "__main__":
    main()
