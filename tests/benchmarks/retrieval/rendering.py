"""Blocks of the manual as files of several formats."""

import html
from collections.abc import Iterable, Sequence

from fpdf import FPDF

from tests.benchmarks.retrieval.manual import Block


def as_html(title: str, blocks: Sequence[Block]) -> bytes:
    """A web page."""
    return f"<html><body><h1>{html.escape(title)}</h1>{''.join(map(_element, blocks))}</body></html>".encode()


def as_markdown(title: str, blocks: Sequence[Block]) -> bytes:
    """Markdown; its marks are put where the text has none of them."""
    return "\n\n".join([f"# {title}", *map(_marked, blocks)]).encode()


def as_text(title: str, blocks: Sequence[Block]) -> bytes:
    """Plain text."""
    return "\n\n".join([title, *(block.text for block in blocks)]).encode()


def as_pdf(title: str, blocks: Iterable[Block]) -> bytes:
    """A document of pages, with headings as its outline."""
    document = FPDF()
    document.add_page()
    document.set_font("Times", size=16)
    document.multi_cell(0, None, _latin(title), new_x="LMARGIN", new_y="NEXT")
    for block in blocks:
        if block.kind == "heading":
            document.start_section(_latin(block.text))
        font, size = {"heading": ("Times", 14), "code": ("Courier", 9)}.get(block.kind, ("Times", 11))
        document.set_font(font, size=size)
        document.multi_cell(0, None, _latin(block.text), new_x="LMARGIN", new_y="NEXT", align="L")
        document.ln(2)
    return bytes(document.output())


def _element(block: Block) -> str:
    tag = {"heading": f"h{min(block.depth + 1, 6)}", "code": "pre"}.get(block.kind, "p")
    return f"<{tag}>{html.escape(block.text)}</{tag}>"


def _marked(block: Block) -> str:
    match block.kind:
        case "heading":
            return f"{'#' * min(block.depth + 1, 6)} {block.text}"
        case "code":
            return f"```\n{block.text}\n```"
        case _:
            return html.escape(block.text, quote=False).replace("*", "\\*").replace("_", "\\_")


def _latin(text: str) -> str:
    """The built-in fonts have no more."""
    return text.encode("latin-1", "replace").decode("latin-1")
