"""The manual as blocks of text in reading order, each of which knows the section and the entry that it belongs to."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lxml import html  # pyright: ignore[reportAttributeAccessIssue] # compiled, without stubs

SECTION = re.compile(r"\b(chapter|sect[1-5]|refentry|refsect[1-3]|refsynopsisdiv|preface|appendix|part|book)\b")
SKIPPED = {"navheader", "navfooter", "toc", "refnamediv"}
INLINE = {"a", "code", "em", "strong", "span", "acronym", "abbr", "sub", "sup", "br", "var", "tt", "kbd", "samp", "q"}
HEADING = re.compile(r"h([1-6])$")


@dataclass(frozen=True, slots=True)
class Link:
    """Characters `begins` to `ends` of a block lead to `target`: `page.html#anchor`, or `page.html`."""

    begins: int
    ends: int
    target: str
    title: str


@dataclass(frozen=True, slots=True)
class Block:
    """A heading (`depth` 1 to 6), a paragraph, a term, a row of a table, or code, which keeps its lines. `section` and
    `entry` are what a link may lead to: the innermost section, and the innermost term of a list, as `page.html#anchor`.
    """

    kind: str
    text: str
    section: str
    entry: str | None = None
    depth: int = 0
    links: tuple[Link, ...] = ()


@dataclass(slots=True)
class Page:
    """One page of the manual; `path` are the pages above it, outermost first. `purpose` is the line that says what a
    command is for, which is not among the blocks.
    """

    name: str
    title: str
    path: tuple[str, ...]
    purpose: str = ""
    blocks: list[Block] = field(default_factory=list[Block])


def read(directory: Path) -> list[Page]:
    """All pages, from the first on, each time the next one."""
    pages, ups = list[Page](), dict[str, str]()
    name: str | None = "index.html"
    while name is not None and (directory / name).exists():
        root = html.fromstring((directory / name).read_bytes())
        ups[name] = next((a.get("href") for a in root.iter("a") if a.get("accesskey") == "u"), "index.html")
        pages.append(_page(root, name, ups))
        name = next((link.get("href") for link in root.iter("link") if link.get("rel") == "next"), None)
    return pages


def _page(root: Any, name: str, ups: dict[str, str]) -> Page:
    path, above = list[str](), name
    while (above := ups.get(above, "index.html")) != "index.html":
        path.insert(0, above)
    page = Page(name, _flat(root.findtext(".//title") or ""), tuple(path))
    for place in root.iter("div"):
        if place.get("class") == "refnamediv":
            page.purpose = _flat(place.text_content()).rpartition(" — ")[2]
    page.blocks = list(_blocks(root.find("body"), name, Block("", "", name)))
    return page


def _blocks(element: Any, page: str, here: Block) -> Iterator[Block]:
    """`here` has the section and entry that the element stands in."""
    loose = _Text(page)
    loose.add(element.text)
    entry = here
    for child in element:
        tag, kind = child.tag, child.get("class") or ""
        if not isinstance(tag, str):
            loose.add(child.tail)
            continue
        if tag in INLINE:
            loose.add_element(child)
            loose.add(child.tail)
            continue
        yield from loose.block("paragraph", entry)
        if not SKIPPED.intersection(kind.split()):
            if tag == "dt":
                entry = replace(here, entry=_anchor(child, page))
            yield from _block(child, page, entry)
        loose.add(child.tail)
    yield from loose.block("paragraph", entry)


def _block(element: Any, page: str, here: Block) -> Iterator[Block]:
    tag, text = element.tag, _Text(page)
    if element.get("id") and SECTION.search(element.get("class") or ""):
        here = replace(here, section=f"{page}#{element.get('id')}", entry=None)
    if heading := HEADING.match(tag):
        text.add_element(element)
        yield from text.block("heading", replace(here, depth=int(heading[1])))
    elif tag == "pre":
        if element.text_content().strip():
            yield replace(here, kind="code", text=element.text_content().strip("\n"))
    elif tag in ("p", "dt", "tr"):
        for part in element if tag == "tr" else [element]:
            text.add_element(part)
            text.add(" ")
        yield from text.block({"p": "paragraph", "dt": "term", "tr": "row"}[tag], here)
        for code in element.iter("pre") if tag == "p" else ():
            yield from _block(code, page, here)
    else:
        yield from _blocks(element, page, here)


def _anchor(term: Any, page: str) -> str | None:
    return f"{page}#{term.get('id')}" if term.get("id") else None


class _Text:
    """Text that is put together, with the links in it."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._text = ""
        self._links = list[Link]()

    def add(self, text: str | None) -> None:
        flat = re.sub(r"\s+", " ", text or "")
        self._text += flat.lstrip() if not self._text or self._text.endswith(" ") else flat

    def add_element(self, element: Any) -> None:
        if element.tag == "pre" or not isinstance(element.tag, str):
            return
        begins = len(self._text)
        self.add(element.text)
        for child in element:
            self.add_element(child)
            self.add(child.tail)
        href = element.get("href") if element.tag == "a" else None
        if href and "://" not in href:
            target = self._page + href if href.startswith("#") else href
            self._links.append(Link(begins, len(self._text), target, element.get("title") or ""))

    def block(self, kind: str, here: Block) -> Iterator[Block]:
        if text := self._text.rstrip():
            yield replace(here, kind=kind, text=text, links=tuple(self._links))
        self._text, self._links = "", []


def _flat(text: str) -> str:
    return " ".join(text.split())
