"""What puts chunks in order: the plain ways that search is compared with."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi

from tests.benchmarks.retrieval.metrics import DEPTH

WORD = re.compile(r"\w+")


class Ranker(Protocol):
    """Searches the corpus that it was made with."""

    async def rank(self, queries: Sequence[str]) -> list[list[int]]:
        """For each query the keys of the best chunks, best first."""
        ...


class Bm25:
    """Words as they are written, in lower case, by Okapi BM25 with the library's own parameters."""

    def __init__(self, chunks: Sequence[str]) -> None:
        self._index = BM25Okapi([words(chunk) for chunk in chunks])

    async def rank(self, queries: Sequence[str]) -> list[list[int]]:
        """Chunks without any of the words are left out."""
        return [best(self._index.get_scores(words(query))) for query in queries]


class Cosine:
    """All chunks by the nearest of their vectors, one after the other."""

    def __init__(self, chunks: Sequence[NDArray[np.float32]], queries: Mapping[str, NDArray[np.float32]]) -> None:
        self._vectors = np.concatenate(chunks)
        self._starts = np.cumsum([0, *(len(vectors) for vectors in chunks[:-1])])
        self._queries = queries

    async def rank(self, queries: Sequence[str]) -> list[list[int]]:
        """Raises KeyError for a query that has no vector."""
        return [best(self.scores(query)) for query in queries]

    def scores(self, query: str) -> NDArray[np.float32]:
        """Of every chunk."""
        return np.maximum.reduceat(self._vectors @ self._queries[query][0], self._starts)


def words(text: str) -> list[str]:
    """In lower case."""
    return WORD.findall(text.lower())


def best(scores: NDArray[np.floating]) -> list[int]:
    """The places of the highest scores above 0, highest first."""
    order = np.argsort(-scores, kind="stable")[:DEPTH]
    return [int(place) for place in order if scores[place] > 0]
