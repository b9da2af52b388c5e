"""Made-up texts and vectors, in any number.

Vectors are no noise: each is a mixture of two of some hundred topics, of which a store has its own, and varies around
them in few dimensions; questions are drawn in the same way. Words are drawn by Zipf's law.
"""

import random
import string
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

DIMENSIONS = 384
TOPICS, OWN = 400, 30
SPREAD = 24  # dimensions in which texts about a topic differ
VOCABULARY = 50_000


class Topics:
    """What texts are about."""

    def __init__(self, seed: int = 7) -> None:
        self._random = np.random.default_rng(seed)
        self._centres = self._unit(TOPICS)
        self._common = self._unit(1)
        self._axes = np.asarray(self._random.standard_normal((TOPICS, SPREAD, DIMENSIONS)), np.float32)

    def some(self) -> list[int]:
        """Those of one store."""
        return self._random.choice(TOPICS, OWN, replace=False).tolist()

    def draw(self, own: Sequence[int], number: int) -> Vectors:
        """Vectors of length 1 about these topics."""
        first, second = self._random.choice(own, (2, number))
        share = self._random.uniform(0.5, 1, (number, 1)).astype(np.float32)
        mixed = share * self._centres[first] + (1 - share) * self._centres[second]
        along = self._random.standard_normal((number, SPREAD)).astype(np.float32)
        spread = np.einsum("ns,nsd->nd", along, self._axes[first]) / np.sqrt(SPREAD * DIMENSIONS)
        noise = self._random.standard_normal((number, DIMENSIONS)) / np.sqrt(DIMENSIONS)
        vectors = 0.35 * self._common + 0.6 * mixed + 0.5 * spread + 0.35 * noise
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def _unit(self, number: int) -> Vectors:
        vectors = self._random.standard_normal((number, DIMENSIONS))
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class Vocabulary:
    """Words as frequent as in a language: the n-th is n times as rare as the first."""

    def __init__(self, seed: int = 0) -> None:
        """The words are always the same; `seed` decides which are drawn."""
        letters = random.Random(11)
        self._words = ["".join(letters.choices(string.ascii_lowercase, k=7)) for _ in range(VOCABULARY)]
        self._weights = list(np.cumsum(1 / np.arange(1, VOCABULARY + 1)))
        self._random = random.Random(seed)

    def text(self, words: int) -> str:
        """So many words."""
        return " ".join(self._random.choices(self._words, cum_weights=self._weights, k=words))


def literal(vector: Vectors) -> str:
    """As Postgres reads it."""
    return "[" + ",".join(f"{number:.5f}" for number in vector) + "]"


def binary(vector: Vectors) -> bytes:
    """As Postgres reads it in a binary COPY: a halfvec's dimensions, two bytes unused, its numbers."""
    return len(vector).to_bytes(2, "big") + b"\0\0" + vector.astype(">f2").tobytes()
