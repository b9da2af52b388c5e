"""What of the chunks has a vector: the worker's own windows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tests.benchmarks.retrieval.corpus import Chunk
from worker.embedder.facts import WINDOW
from worker.ingest.windows import Windows


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that has a vector, and the chunks that have it: those with keys from `first` to `last`. `number` counts
    those that begin with the same chunk.
    """

    first: int
    last: int
    number: int
    text: str


def passages(chunks: Sequence[Chunk]) -> list[Passage]:
    """What the worker would embed."""
    return [passage for _, of_file in groupby(chunks, lambda chunk: chunk.filename) for passage in _of(list(of_file))]


def _of(chunks: Sequence[Chunk]) -> Iterator[Passage]:
    windows = Windows(WINDOW)
    ready = [some for chunk in chunks for some in windows.take(_row(chunk))]
    for some in [*ready, *windows.end()]:
        for window in some:
            yield Passage(window.chunk, window.last_chunk, window.number, window.text)


def _row(chunk: Chunk) -> dict[str, object]:
    """As the worker finds it, but for the key in place of the position within its file."""
    row = {name: getattr(chunk, name) for name in ("text", "begins", "ends", "headings")}
    return {**row, "position": chunk.key}
