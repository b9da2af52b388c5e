"""What puts chunks in order: the plain ways that search is compared with."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi

from tests.benchmarks.retrieval.metrics import DEPTH
from tests.benchmarks.retrieval.passages import Passage

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

    def __init__(self, chunks: int, passages: Sequence[Passage], vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """`vectors` are those of passages and of questions, of length 1."""
        self._vectors = np.stack([vectors[passage.text] for passage in passages])
        pairs = [(key, n) for n, one in enumerate(passages) for key in range(one.first, one.last + 1)]
        self._keys, self._passages = np.array(pairs).T
        self._chunks, self._queries = chunks, vectors

    async def rank(self, queries: Sequence[str]) -> list[list[int]]:
        """Raises KeyError for a query that has no vector."""
        return [best(self._scores(query)) for query in queries]

    def _scores(self, query: str) -> NDArray[np.float32]:
        scores = np.zeros(self._chunks, np.float32)
        near = self._vectors @ self._queries[query]
        np.maximum.at(scores, self._keys, near[self._passages])
        return scores


def words(text: str) -> list[str]:
    """In lower case."""
    return WORD.findall(text.lower())


def best(scores: NDArray[np.floating]) -> list[int]:
    """The places of the highest scores above 0, highest first."""
    order = np.argsort(-scores, kind="stable")[:DEPTH]
    return [int(place) for place in order if scores[place] > 0]
