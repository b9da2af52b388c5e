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
from tests.benchmarks.retrieval.models import MODELS, serving
from tests.benchmarks.retrieval.passages import passages
from tests.benchmarks.retrieval.questions import EACH
from tests.benchmarks.retrieval.rankers import Bm25, Cosine, Ranker
from tests.benchmarks.retrieval.server import served
from tests.system import create_database
from worker.embedder.lanes import Embedder

CACHE = Path(".cache/bench-retrieval")
SIZES = "1000,10000,100000,1000000"
QUERIES = 100
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
            costs = asyncio.run(scale.measure(create_database(server.url, "scale"), sizes, QUERIES))
            print(*scale.table(costs), sep="\n")
            return 0
        found = corpus.build(given.manual or package.manual(CACHE), given.each)
        server.start()
        print(f"{found.documents} documents, {found.pages} pages, {len(found.chunks)} chunks")
        print(f"{len(found.asked)} questions; {found.lost} paragraphs were not found again in what was read")
        for number, (what, make) in enumerate(MODELS.items(), 1):
            print(*_report(what, asyncio.run(_results(found, server, what, make(), number))), sep="\n")
    except package.NoManual as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        server.stop()
        shutil.rmtree(room)
    return 0


async def _results(found: Corpus, server: Postgres, what: str, model: Embedder, number: int) -> report.Results:
    """All rankers' answers to all questions, with the vectors of one model."""
    pieces = passages(found.chunks)
    questions = [asked.text for asked in found.asked]
    async with serving(model) as client:
        vectors = await embedding.vectors(client, what, [*(piece.text for piece in pieces), *questions], CACHE)
        plain: dict[str, Ranker] = {
            "rank_bm25": Bm25([chunk.text for chunk in found.chunks]),
            "brute-force cosine": Cosine(len(found.chunks), pieces, vectors),
        }
        url = create_database(server.url, f"retrieval_{number}")
        async with served(url, found.chunks, pieces, vectors, client) as search:
            ours: dict[str, Ranker] = {
                HYBRID: search,
                "search, words alone": search.by_words(),
                "search, vectors alone": search.by_vectors({question: vectors[question] for question in questions}),
            }
            return {name: await _qualities(ranker, found.asked) for name, ranker in {**plain, **ours}.items()}


async def _qualities(ranker: Ranker, questions: Sequence[Asked]) -> Mapping[str, Sequence[Quality]]:
    kinds = dict[str, list[Quality]]()
    orders = await ranker.rank([asked.text for asked in questions])
    for asked, order in zip(questions, orders, strict=True):
        kinds.setdefault(asked.kind, []).append(quality(order, asked.answers))
    return kinds


def _report(what: str, results: report.Results) -> list[str]:
    return [
        *("", what),
        *("", *report.overall(results)),
        *(line for figure in ("recall_1", "recall_5", "mrr") for line in ("", *report.by_kind(results, figure))),
        *("", *report.against(results, HYBRID)),
    ]


if __name__ == "__main__":
    sys.exit(main())
