"""The corpus: documents of the pages of a manual, read and cut as any file is, and where the answers are in them."""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.retrieval import questions, rendering
from tests.benchmarks.retrieval.manual import Block, Page
from tests.benchmarks.retrieval.manual import read as read_manual
from tests.benchmarks.retrieval.questions import Place, Question, Removal
from worker.ingest import child
from worker.ingest.protocol import Job

PAGE = 3_000  # characters
DEEP = 300_000  # characters into a document: beyond page 100 of a PDF
ENOUGH = 200  # characters of a place that make a chunk an answer, or half the place
PROBE = 60  # letters and digits by which a block is found again in what was read
FURTHEST = 20_000  # letters and digits from one block to the next
SIZE, OVERLAP = 800, 400
ALPHANUMERIC = re.compile(r"[0-9A-Za-z]")

PROCESSES = 2

Render = Callable[[str, Sequence[Block]], bytes]

RENDERINGS: Mapping[str, Render] = {
    "pdf": rendering.as_pdf,
    "html": rendering.as_html,
    "md": rendering.as_markdown,
    "txt": rendering.as_text,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A document to be made: of which pages, and how."""

    filename: str
    pages: Sequence[Page]
    render: Render


@dataclass(frozen=True, slots=True)
class Chunk:
    """What rankers put in order; `key` tells it from all others."""

    key: int
    filename: str
    text: str
    begins: int
    ends: int
    page: int | None
    headings: Sequence[str]
    tokens: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, with the keys of the chunks that answer it."""

    kind: str
    text: str
    filename: str
    answers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Chunks by their keys, and questions about them; `lost` blocks were not found again, with whatever they answer."""

    chunks: Sequence[Chunk]
    asked: Sequence[Asked]
    documents: int
    characters: int
    lost: int

    @property
    def pages(self) -> int:
        """Of 3,000 characters each."""
        return self.characters // PAGE


def build(directory: Path, each: int = questions.EACH) -> Corpus:
    """Make documents of the whole manual, and ask so many questions of each kind."""
    pages = read_manual(directory)
    plans = list(_plans(pages))
    indexed = [page for one in plans for page in one.pages]
    deep = [page for one in plans if one.filename.endswith(".pdf") for page in _far(one.pages)]
    chosen = questions.sample(questions.candidates(directory, pages, indexed, deep), each)
    removals = [removal for _, removal in chosen if removal is not None]
    return of(plans, [question for question, _ in chosen], removals)


def of(plans: Sequence[Plan], chosen: Sequence[Question], removals: Sequence[Removal] = ()) -> Corpus:
    """Make the documents, read them, and find the places of the answers."""
    jobs = [(one, questions.without(one.pages, removals)) for one in plans]
    with ProcessPoolExecutor(PROCESSES) as pool:
        documents = list(pool.map(_read, *zip(*jobs, strict=True)))
    known = questions.places([page for one in plans for page in one.pages])
    return _put_together(documents, known, chosen)


def plan(filename: str, pages: Sequence[Page]) -> Plan:
    """A document of these pages, in the format that its name says."""
    return Plan(filename, pages, RENDERINGS[filename.rpartition(".")[2]])


def _plans(pages: Sequence[Page]) -> Iterator[Plan]:
    """Two parts as long PDFs, the commands as web pages, programming as Markdown by chapter, modules as text."""

    def below(top: str) -> list[Page]:
        return [page for page in pages if top in (page.name, *page.path)]

    for top in ("sql", "admin"):
        yield plan(f"{top}.pdf", below(f"{top}.html"))
    for page in below("sql-commands.html"):
        yield plan(page.name, [page])
    yield plan(questions.ERRORS, below(questions.ERRORS))
    programming = below("server-programming.html")
    for chapter in dict.fromkeys(page.path[1] for page in programming if len(page.path) > 1):
        found = [page for page in programming if chapter in (page.name, *page.path)]
        yield plan(f"{chapter.removesuffix('.html')}.md", found)
    for page in below("contrib.html"):
        yield plan(f"{page.name.removesuffix('.html')}.txt", [page])


def _far(pages: Sequence[Page]) -> Iterator[Page]:
    passed = 0
    for page in pages:
        if passed > DEEP:
            yield page
        passed += sum(len(block.text) for block in page.blocks)


@dataclass(frozen=True, slots=True)
class _Document:
    """What was read of one; `spans` has the characters at which each block was found."""

    filename: str
    chunks: Sequence[Mapping[str, Any]]
    spans: Mapping[Place, tuple[int, int]]
    blocks: int


def _read(plan: Plan, blocks: Sequence[tuple[Place, Block]]) -> _Document:
    content = plan.render(plan.pages[0].title, [block for _, block in blocks])
    job = Job(plan.filename, SIZE, OVERLAP, 5_000_000, 2 << 30, 600)
    chunks, text = list[Mapping[str, Any]](), ""
    for frame in child.read(job, io.BytesIO(content)):
        if frame["kind"] == "failed":
            raise RuntimeError(f"{plan.filename}: {frame['message']}")
        for chunk in frame["chunks"] if frame["kind"] == "progress" else ():
            chunks.append(chunk)
            text += chunk["text"][len(text) - chunk["begins"] :]
    return _Document(plan.filename, chunks, dict(_spans(text, blocks)), len(blocks))


def _spans(text: str, blocks: Sequence[tuple[Place, Block]]) -> Iterator[tuple[Place, tuple[int, int]]]:
    """Where blocks are, by their letters and digits alone: readers change spaces and signs."""
    places = [match.start() for match in ALPHANUMERIC.finditer(text)]
    known, reached = "".join(text[place] for place in places), 0
    for place, block in blocks:
        sought = "".join(ALPHANUMERIC.findall(block.text))
        found = known.find(sought[:PROBE], reached, reached + FURTHEST) if sought else -1
        if found >= 0:
            reached = min(found + len(sought), len(places))
            yield place, (places[found], places[reached - 1] + 1)


def _put_together(
    documents: Sequence[_Document], places: Mapping[str, Sequence[Place]], chosen: Sequence[Question]
) -> Corpus:
    chunks, spans = list[Chunk](), dict[Place, tuple[str, int, int]]()
    for document in documents:
        spans |= {place: (document.filename, *span) for place, span in document.spans.items()}
        for chunk in document.chunks:
            fields = (chunk[name] for name in ("text", "begins", "ends", "page", "headings", "tokens"))
            chunks.append(Chunk(len(chunks), document.filename, *fields))
    by_file = dict[str, list[Chunk]]()
    for chunk in chunks:
        by_file.setdefault(chunk.filename, []).append(chunk)
    asked = list[Asked]()
    for question in chosen:
        found = [[spans[place] for place in places[target] if place in spans] for target in question.targets]
        answers = frozenset(key for target in found for key in _answers(target, by_file))
        if answers:
            asked.append(Asked(question.kind, question.text, next(one[0][0] for one in found if one), answers))
    characters = sum(chunks_of[-1].ends for chunks_of in by_file.values())
    lost = sum(document.blocks for document in documents) - len(spans)
    return Corpus(chunks, asked, len(documents), characters, lost)


def _answers(target: Sequence[tuple[str, int, int]], by_file: Mapping[str, Sequence[Chunk]]) -> Iterator[int]:
    """The chunks that have enough of the place; it lies in one document, without gaps."""
    if target:
        filename, begins, ends = target[0][0], min(one[1] for one in target), max(one[2] for one in target)
        for chunk in by_file[filename]:
            if min(ends, chunk.ends) - max(begins, chunk.begins) >= min(ENOUGH, (ends - begins) / 2):
                yield chunk.key
