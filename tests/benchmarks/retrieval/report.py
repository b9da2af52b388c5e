"""The tables that the benchmark prints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields

from tests.benchmarks.retrieval.metrics import Quality, difference, macro, mean

Results = Mapping[str, Mapping[str, Sequence[Quality]]]
"""By ranker and kind of question, the questions in the same order for all rankers."""

COMPARED = ("recall_5", "mrr", "ndcg_10")


def overall(results: Results) -> Iterator[str]:
    """Every figure of every ranker, over all questions and over kinds."""
    names = [field.name for field in fields(Quality)]
    yield f"{'':28}" + "".join(f"{name:>11}" for name in [*names, *(f"{name}*" for name in names)])
    for ranker, kinds in results.items():
        every = [*asdict(mean(_all(kinds))).values(), *asdict(macro(kinds)).values()]
        yield f"{ranker:28}" + "".join(f"{value:11.3f}" for value in every)
    yield "* each kind of question counts the same"


def by_kind(results: Results, figure: str) -> Iterator[str]:
    """One figure of every ranker, by kinds."""
    kinds = next(iter(results.values()))
    yield f"{figure:28}" + "".join(f"{kind:>11}" for kind in kinds)
    yield f"{'questions':28}" + "".join(f"{len(of_kind):11}" for of_kind in kinds.values())
    for ranker, qualities in results.items():
        yield f"{ranker:28}" + "".join(f"{getattr(mean(qualities[kind]), figure):11.3f}" for kind in kinds)


def against(results: Results, ours: str) -> Iterator[str]:
    """By how much one ranker is better than each of the others, with what chance makes of it."""
    yield f"{ours}, minus".ljust(28) + "".join(f"{figure:>28}" for figure in COMPARED)
    for ranker, kinds in results.items():
        if ranker != ours:
            pairs = [_difference(_all(results[ours]), _all(kinds), figure) for figure in COMPARED]
            yield f"{ranker:28}" + "".join(f"{pair:>28}" for pair in pairs)


def _difference(ours: Sequence[Quality], theirs: Sequence[Quality], figure: str) -> str:
    found = difference([getattr(one, figure) for one in ours], [getattr(one, figure) for one in theirs])
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _all(kinds: Mapping[str, Sequence[Quality]]) -> list[Quality]:
    return [quality for of_kind in kinds.values() for quality in of_kind]
