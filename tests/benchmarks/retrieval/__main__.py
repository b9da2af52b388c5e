"""`python -m tests.benchmarks.retrieval [--scale CHUNKS,...]`: find answers in a real manual, and print how well that
goes; or what search costs in stores of made-up chunks, as many as are named.

The manual, and vectors that take an hour of a busy processor to make, are kept in the directory `.cache`.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.embedded.postgres import Postgres
from tests.benchmarks.retrieval import corpus, embedding, package, report, scale
from tests.benchmarks.retrieval.corpus import Asked, Corpus
from tests.benchmarks.retrieval.metrics import Quality, quality
from tests.benchmarks.retrieval.passages import passages
from tests.benchmarks.retrieval.questions import EACH
from tests.benchmarks.retrieval.rankers import Bm25, Cosine, Ranker
from tests.benchmarks.retrieval.server import served
from tests.system import create_database

CACHE = Path(".cache/bench-retrieval")
SIZES = "1000,10000,100000,1000000"
QUERIES = 200
HYBRID = "search"
SETTINGS = {"maintenance_work_mem": "3GB", "max_wal_size": "8GB"}  # an index of a million vectors is built in memory


def main() -> int:
    """Measure, and print tables; 1 if there is no manual."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.retrieval", description=__doc__)
    parser.add_argument("--manual", type=Path, help="the pages of the manual, where apt can't download them")
    parser.add_argument("--each", type=int, default=EACH, help="questions of each kind")
    parser.add_argument("--scale", nargs="?", const=SIZES, help="stores of so many made-up chunks instead")
    given = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix="assistantd-bench-"))
    room.chmod(0o711)  # a server that root starts runs as somebody else
    server = Postgres(room / "postgres", settings=SETTINGS)
    try:
        if given.scale is not None:
            server.start()
            sizes = [int(size) for size in given.scale.split(",")]
            print(*scale.table(asyncio.run(scale.measure(_database(server), sizes, QUERIES))), sep="\n")
            return 0
        found = corpus.build(given.manual or package.manual(CACHE), given.each)
        server.start()
        print(*_report(found, asyncio.run(_results(found, _database(server)))), sep="\n")
    except package.NoManual as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        server.stop()
        shutil.rmtree(room)
    return 0


def _database(server: Postgres) -> str:
    return create_database(server.url, "retrieval")


async def _results(found: Corpus, url: str) -> report.Results:
    """All rankers' answers to all questions."""
    pieces = passages(found.chunks)
    texts = [piece.text for piece in pieces]
    questions = [asked.text for asked in found.asked]
    vectors = embedding.vectors([*texts, *questions], CACHE)
    plain: dict[str, Ranker] = {
        "rank_bm25": Bm25([chunk.text for chunk in found.chunks]),
        "brute-force cosine": Cosine(len(found.chunks), pieces, vectors),
    }
    async with served(url, found.chunks, pieces, vectors) as search:
        ours: dict[str, Ranker] = {HYBRID: search, "search, words alone": search.by_words()}
        return {name: await _qualities(ranker, found.asked) for name, ranker in {**plain, **ours}.items()}


async def _qualities(ranker: Ranker, questions: Sequence[Asked]) -> Mapping[str, Sequence[Quality]]:
    kinds = dict[str, list[Quality]]()
    orders = await ranker.rank([asked.text for asked in questions])
    for asked, order in zip(questions, orders, strict=True):
        kinds.setdefault(asked.kind, []).append(quality(order, asked.answers))
    return kinds


def _report(found: Corpus, results: report.Results) -> list[str]:
    return [
        f"{found.documents} documents, {found.pages} pages, {len(found.chunks)} chunks, {len(found.asked)} questions",
        f"{found.lost} paragraphs were not found again in what was read; vectors: {embedding.MODEL}",
        *("", *report.overall(results)),
        *(line for figure in ("recall_1", "recall_5", "mrr") for line in ("", *report.by_kind(results, figure))),
        *("", *report.against(results, HYBRID)),
    ]


if __name__ == "__main__":
    sys.exit(main())
