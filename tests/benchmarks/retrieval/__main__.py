"""`python -m tests.benchmarks.retrieval`: find answers in a real manual, and print how well that goes.

Nothing of the manual is kept but in the directory `.cache`.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.retrieval import corpus, package, report
from tests.benchmarks.retrieval.corpus import Corpus
from tests.benchmarks.retrieval.metrics import Quality, quality
from tests.benchmarks.retrieval.questions import EACH
from tests.benchmarks.retrieval.rankers import Bm25, Ranker

CACHE = Path(".cache/bench-retrieval")


def main() -> int:
    """Measure, and print tables; 1 if there is no manual."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.retrieval", description=__doc__)
    parser.add_argument("--manual", type=Path, help="the pages of the manual, where apt can't download them")
    parser.add_argument("--each", type=int, default=EACH, help="questions of each kind")
    given = parser.parse_args()
    try:
        directory = given.manual or package.manual(CACHE)
    except package.NoManual as error:
        print(error, file=sys.stderr)
        return 1
    found = corpus.build(directory, given.each)
    print(f"{found.documents} documents, {found.pages} pages, {len(found.chunks)} chunks, {len(found.asked)} questions")
    print(f"{found.lost} paragraphs were not found again in what was read\n")
    results = asyncio.run(_measure(found, {"rank_bm25": Bm25([chunk.text for chunk in found.chunks])}))
    for table in (report.overall(results), report.by_kind(results, "recall_5"), report.by_kind(results, "mrr")):
        print(*table, sep="\n", end="\n\n")
    return 0


async def _measure(found: Corpus, rankers: Mapping[str, Ranker]) -> dict[str, dict[str, list[Quality]]]:
    results = dict[str, dict[str, list[Quality]]]()
    for name, ranker in rankers.items():
        kinds = results.setdefault(name, {})
        orders = await ranker.rank([asked.text for asked in found.asked])
        for asked, order in zip(found.asked, orders, strict=True):
            kinds.setdefault(asked.kind, []).append(quality(order, asked.answers))
    return results


if __name__ == "__main__":
    sys.exit(main())
