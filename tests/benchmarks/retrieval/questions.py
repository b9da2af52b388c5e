"""Questions whose answers' places are known, from what the manual itself says about where things are.

None has words that stand in its answer because they were copied from there:

- `index`: a term of several words from the index at the manual's end, which its makers wrote to be looked up, leads to
  sections. The index is not part of the corpus.
- `crossref`: a sentence that sends the reader to another section (or the one before it, if it does nothing else) asks
  for that section, without the words of the link. The sentence is taken out of the corpus.
- `purpose`: the line that tells what a command is for ("define a new table") asks for the command's page. These lines
  are taken out, of pages and of lists alike.
- `release`: an entry of the release notes asks for the page that describes the news, without the words of the link.
  Release notes are not part of the corpus.
- `glossary`: a definition from the glossary asks for the section that it refers to, without the term. The glossary is
  not part of the corpus.
- `name`: the bare name of a setting asks for its description among all that mention it; an error's name or code for its
  row. There is nothing to paraphrase: that is how people look for names.
- `deep`: the first sentence of a section far into a long PDF asks for the rest of the section. The sentence is taken
  out.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from lxml import html  # pyright: ignore[reportAttributeAccessIssue] # compiled, without stubs

from tests.benchmarks.retrieval.manual import Block, Link, Page

SENTENCE = re.compile(r"\S.*?(?:[.!?:](?=\s+[A-Z(])|$)", re.DOTALL)
NUMBERED = re.compile(r"(Section|Chapter|Appendix) \d")
POINTER = re.compile(
    r"\b(see|refer to|is described in|are described in|for (more|further) (information|details))\b", re.IGNORECASE
)
FEWEST = {"name": 1, "index": 2, "purpose": 3}
FEWEST_WORDS = 7
LARGEST_PLACE = 8_000  # characters: where a place is larger, finding it says little
SMALLEST_PLACE = 200
ERRORS = "errcodes-appendix.html"
EACH = 45
"""Questions of a kind."""


@dataclass(frozen=True, slots=True)
class Question:
    """`targets` are places of the manual, any of which answers it."""

    kind: str
    text: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be taken out of a block, for a question's sake."""

    where: "Place"
    text: str


Place = tuple[str, int]
"""A block of the manual: the name of its page, and its number there."""

Candidate = tuple[Question, Removal | None]


def places(pages: Sequence[Page]) -> Mapping[str, Sequence[Place]]:
    """What can be asked for: the blocks of each section, entry, row of errors, and page of reference."""
    found, sizes = dict[str, list[Place]](), Counter[str]()
    for page in pages:
        for number, block in enumerate(page.blocks):
            for target in _targets(page, block):
                found.setdefault(target, []).append((page.name, number))
                sizes[target] += len(block.text)
    return {target: blocks for target, blocks in found.items() if _fits(target, sizes[target])}


def _targets(page: Page, block: Block) -> Iterator[str]:
    yield block.section
    if block.entry:
        yield block.entry
    if block.kind == "row" and page.name == ERRORS:
        yield f"{page.name}!{block.text}"
    if page.purpose or block.section == page.blocks[0].section:
        yield page.name


def _fits(target: str, size: int) -> bool:
    return "!" in target or (size >= SMALLEST_PLACE and (size <= LARGEST_PLACE or "#" not in target))


def candidates(
    directory: Path, pages: Sequence[Page], indexed: Sequence[Page], deep: Sequence[Page]
) -> list[Candidate]:
    """All that could be asked; `indexed` are the pages of the corpus, `deep` those far into long documents."""
    known, by_name = places(indexed), {page.name: page for page in pages}
    found = [
        *_index(html.fromstring((directory / "bookindex.html").read_bytes())),
        *_crossref(indexed),
        *((Question("purpose", page.purpose, (page.name,)), None) for page in indexed if page.purpose),
        *_release(page for page in pages if page.name.startswith("release-1")),
        *_glossary(by_name["glossary.html"]),
        *_names(indexed),
        *_deep(deep),
    ]
    checked = list[Candidate]()
    for question, removal in found:
        targets = tuple(dict.fromkeys(target for target in question.targets if target in known))
        if targets and len(question.text.split()) >= FEWEST.get(question.kind, FEWEST_WORDS):
            checked.append((replace(question, targets=targets), removal))
    return checked


def sample(found: Sequence[Candidate], each: int = EACH, seed: int = 15) -> list[Candidate]:
    """So many of each kind, one at most about each target."""
    chosen, taken, seen = list[Candidate](), Counter[str](), set[tuple[str, str]]()
    for candidate in random.Random(seed).sample(list(found), len(found)):
        question = candidate[0]
        about = {(question.kind, target) for target in question.targets}
        if taken[question.kind] < each and not about & seen:
            taken[question.kind] += 1
            seen |= about
            chosen.append(candidate)
    return sorted(chosen, key=lambda one: (one[0].kind, one[0].targets))


def without(pages: Sequence[Page], removals: Sequence[Removal]) -> list[tuple[Place, Block]]:
    """The blocks that are left, as they are to be indexed."""
    gone = dict[Place, list[str]]()
    for removal in removals:
        gone.setdefault(removal.where, []).append(removal.text)
    left = list[tuple[Place, Block]]()
    for page in pages:
        for number, block in enumerate(page.blocks):
            text = block.text
            for sentence in gone.get((page.name, number), ()):
                text = text.replace(sentence, "").strip()
            if text:
                left.append(((page.name, number), replace(block, text=text, links=())))
    return left


def _index(root: Any) -> Iterator[Candidate]:
    for term in root.iter("dt"):
        links = [a.get("href") for a in term.iter("a")]
        above = term.getparent().getparent()
        owner = above.getprevious() if above.tag == "dd" else None
        words = [_word(part) for part in (owner, term) if part is not None]
        text = " ".join(words)
        if links and re.fullmatch(r"[a-z][a-z -]+", text) and "see" not in words:
            yield Question("index", text, tuple(links)), None


def _word(term: Any) -> str:
    return " ".join((term.text or "").replace(",", " ").split())


def _crossref(pages: Sequence[Page]) -> Iterator[Candidate]:
    for page in pages:
        for number, block in enumerate(page.blocks):
            if block.kind == "paragraph":
                for question, text in _crossref_of(page.name, block):
                    yield question, Removal((page.name, number), text)


def _crossref_of(name: str, block: Block) -> Iterator[tuple[Question, str]]:
    spans = [match.span() for match in SENTENCE.finditer(block.text)]
    for number, (begins, ends) in enumerate(spans):
        links = [link for link in block.links if begins <= link.begins < ends]
        if len(links) != 1 or not NUMBERED.match(_said(block, links[0])) or links[0].target.startswith(f"{name}#"):
            continue
        text, first = _without_link(block.text[begins:ends], _said(block, links[0])), begins
        if len(text.split()) < FEWEST_WORDS and number:
            first = spans[number - 1][0]
            text = block.text[slice(*spans[number - 1])]
        yield Question("crossref", text, (links[0].target,)), block.text[first:ends]


def _said(block: Block, link: Link) -> str:
    return block.text[link.begins : link.ends]


def _without_link(text: str, said: str) -> str:
    text = re.sub(rf"\([^()]*{re.escape(said)}[^()]*\)", "", text)
    return " ".join(POINTER.sub("", text.replace(said, "")).split()).strip(" .;,")


def _release(pages: Iterator[Page]) -> Iterator[Candidate]:
    for page in pages:
        for block in page.blocks:
            targets = {link.target for link in block.links}
            if block.kind != "paragraph" or len(targets) != 1 or page.name in (target := targets.pop()):
                continue
            text = re.sub(r"(\s*\([^()]*\))?(\s*§)+$", "", block.text)
            for link in block.links:
                text = text.replace(_said(block, link), "")
            yield Question("release", " ".join(text.split()), (target,)), None


def _glossary(page: Page) -> Iterator[Candidate]:
    entries = dict[str, list[Block]]()
    for block in page.blocks:
        if block.entry:
            entries.setdefault(block.entry, []).append(block)
    for term, *blocks in entries.values():
        *definition, last = blocks or [term]
        targets = [link.target for link in last.links if "glossary" not in link.target]
        if definition and targets and last.text.startswith("For more information"):
            words = "|".join(re.escape(word) for word in re.findall(r"\w{3,}", term.text))
            text = re.sub(rf"\b({words})\w*", "", definition[0].text, flags=re.IGNORECASE)
            yield Question("glossary", " ".join(text.split()), tuple(targets)), None


def _names(pages: Sequence[Page]) -> Iterator[Candidate]:
    for page in pages:
        for block in page.blocks:
            if block.kind == "term" and block.entry and "#GUC-" in block.entry:
                yield Question("name", block.text.split(" (")[0], (block.entry,)), None
            elif block.kind == "row" and page.name == ERRORS and "Class" not in block.text:
                code, name = (block.text.split() * 2)[:2]
                yield Question("name", code if "0" in code[2:] else name, (f"{page.name}!{block.text}",)), None


def _deep(pages: Sequence[Page]) -> Iterator[Candidate]:
    for page in pages:
        for number, (heading, block) in enumerate(pairwise(page.blocks), 1):
            if heading.kind == "heading" and block.kind == "paragraph" and block.section == heading.section:
                sentence = next(SENTENCE.finditer(block.text)).group()
                yield Question("deep", sentence, (block.section,)), Removal((page.name, number), sentence)
