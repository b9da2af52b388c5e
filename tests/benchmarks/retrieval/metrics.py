"""How good an order is: where in it the first answer is, and how much of the top is answers.

- recall@k: the share of questions that have an answer among the first k.
- MRR: the mean of 1 / place of the first answer, 0 where there is none among the first hundred.
- nDCG@10: answers among the first ten, discounted by the logarithm of their place, over the best that was possible.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

DEPTH = 100
"""Places of an order that are looked at."""

TOP = 10
RESAMPLES = 10_000
CONFIDENCE = 95  # percent


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one order, or the mean of many."""

    recall_1: float
    recall_5: float
    recall_10: float
    mrr: float
    ndcg_10: float


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much one ranker is better than another, and where 95 % of resampled question sets have that."""

    mean: float
    low: float
    high: float


def quality(order: Sequence[int], answers: Collection[int]) -> Quality:
    """`order` has chunks' keys, best first, each once."""
    hits = [place for place, key in enumerate(order[:DEPTH], 1) if key in answers]
    first = hits[0] if hits else math.inf
    gain = sum(1 / math.log2(place + 1) for place in hits if place <= TOP)
    best = sum(1 / math.log2(place + 1) for place in range(1, min(TOP, len(answers)) + 1))
    return Quality(float(first <= 1), float(first <= 5), float(first <= 10), 1 / first, gain / best)


def mean(all_of_them: Sequence[Quality]) -> Quality:
    """Of at least one."""
    sums = [asdict(one).values() for one in all_of_them]
    return Quality(*(float(figure) for figure in np.mean([list(values) for values in sums], axis=0)))


def macro(kinds: Mapping[str, Sequence[Quality]]) -> Quality:
    """The mean over kinds of questions, each of which counts the same however many questions it has."""
    return mean([mean(of_kind) for of_kind in kinds.values()])


def difference(ours: Sequence[float], theirs: Sequence[float], seed: int = 0) -> Difference:
    """Of one figure, question by question in the same order: questions are drawn again, with their pair of results."""
    deltas = np.asarray(ours) - np.asarray(theirs)
    drawn = np.random.default_rng(seed).integers(0, len(deltas), (RESAMPLES, len(deltas)))
    low, high = np.percentile(deltas[drawn].mean(axis=1), [50 - CONFIDENCE / 2, 50 + CONFIDENCE / 2])
    return Difference(float(deltas.mean()), float(low), float(high))
