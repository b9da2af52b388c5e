"""The benchmark of search itself: figures that are known, and a small manual with its questions."""

import math
from pathlib import Path

import numpy as np
import psycopg
import pytest

from infra.embedded.postgres import Postgres
from shared.vector_stores import indexes
from tests.benchmarks.retrieval import corpus, questions, scale
from tests.benchmarks.retrieval.corpus import Chunk
from tests.benchmarks.retrieval.manual import Block, Page, read
from tests.benchmarks.retrieval.metrics import Quality, difference, macro, mean, quality
from tests.benchmarks.retrieval.package import NoManual, manual
from tests.benchmarks.retrieval.passages import Passage
from tests.benchmarks.retrieval.questions import Question, Removal
from tests.benchmarks.retrieval.rankers import Bm25, Cosine
from tests.benchmarks.retrieval.server import Known, served
from tests.system import create_database

LONG = "Nothing that anybody would ask for stands here, and it goes on for a while. " * 4


def test_an_order_with_the_answers_first_is_perfect() -> None:
    assert quality([4, 7, 1, 2], {4, 7}) == Quality(1, 1, 1, 1, 1)


def test_an_answer_further_down_counts_less() -> None:
    found = quality([9, 8, 4, 6, 5, 7], {4, 7})
    gain = 1 / math.log2(4) + 1 / math.log2(7)
    assert (found.recall_1, found.recall_5, found.recall_10, found.mrr) == (0, 1, 1, 1 / 3)
    assert found.ndcg_10 == pytest.approx(gain / (1 + 1 / math.log2(3)))


def test_an_answer_beyond_the_tenth_place_is_no_recall_but_some_rank() -> None:
    found = quality([*range(100, 110), 4], {4})
    assert found == Quality(0, 0, 0, 1 / 11, 0)


def test_no_answer_is_nothing() -> None:
    assert quality([1, 2], {3}) == Quality(0, 0, 0, 0, 0)


def test_ten_places_are_all_that_more_answers_can_fill() -> None:
    assert quality(list(range(10)), set(range(50))).ndcg_10 == pytest.approx(1)


def test_a_kind_of_few_questions_counts_as_much_as_one_of_many() -> None:
    good, bad = Quality(1, 1, 1, 1, 1), Quality(0, 0, 0, 0, 0)
    assert mean([good, bad, bad, bad]).mrr == pytest.approx(1 / 4)
    assert macro({"one": [good], "other": [bad, bad, bad]}).mrr == pytest.approx(1 / 2)


def test_a_difference_in_every_question_is_no_chance() -> None:
    found = difference([1.0] * 30, [0.5] * 30)
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_a_difference_in_few_questions_may_be_chance() -> None:
    found = difference([1, 0, 0, 1, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1, 1, 0])
    assert found.low < 0 < found.high


async def test_bm25_prefers_the_rare_word() -> None:
    ranker = Bm25(["the cat sat", "the dog sat", "the dog ran", "the wal_level sat", "the fish swam"])
    assert (await ranker.rank(["the wal_level"]))[0][0] == 3


async def test_a_chunk_is_as_near_as_its_nearest_passage() -> None:
    pieces = [
        Passage(0, 0, 0, "east"),
        Passage(0, 1, 1, "north"),
        Passage(1, 1, 0, "northeast"),
        Passage(2, 2, 0, "south"),
    ]
    ways = {"east": [1, 0], "north": [0, 1], "northeast": [0.6, 0.8], "south": [0, -1], "ask": [0.7, 0.7]}
    ranker = Cosine(3, pieces, {name: np.array(way, np.float32) for name, way in ways.items()})
    assert await ranker.rank(["north", "ask", "east"]) == [[0, 1], [1, 0], [0, 1]]


def test_pages_are_read_in_their_order_and_without_their_frames(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<link rel="next" href="a.html"><body><div class="toc">a list</div></body>')
    (tmp_path / "a.html").write_text(
        "<meta charset='utf-8'><title>DROP</title><body>"
        "<div class='navheader'>Prev <a accesskey='u' href='top.html'>Up</a></div>"
        "<div class='refentry' id='DROP'><div class='refnamediv'><p>DROP — remove it</p></div>"
        "<p>Says\n more in <a href='b.html#X' title='B'>Section 2</a>, and <code>code</code>.</p>"
        "<dl><dt id='GUC-A'>a (<code>int</code>)</dt><dd><p>An option.</p></dd></dl>"
        "<pre>SELECT  1;\n</pre></div></body>"
    )
    first, page = read(tmp_path)
    assert (first.blocks, page.title, page.purpose, page.path) == ([], "DROP", "remove it", ("top.html",))
    said, term, option, code = page.blocks
    assert (said.text, said.section) == ("Says more in Section 2, and code.", "a.html#DROP")
    assert said.text[said.links[0].begins : said.links[0].ends] == "Section 2"
    assert (term.text, option.text, option.entry) == ("a (int)", "An option.", "a.html#GUC-A")
    assert (code.kind, code.text, code.entry) == ("code", "SELECT  1;", None)


def test_what_asks_is_taken_out_of_what_is_searched() -> None:
    page = Page("a.html", "A", (), blocks=[Block("paragraph", "Ask this. Keep that.", "a.html#A")])
    ((_, left),) = questions.without([page], [Removal(("a.html", 0), "Ask this.")])
    assert left.text == "Keep that."


def test_places_are_found_in_every_format() -> None:
    names = ["a.pdf", "b.html", "c.md", "d.txt"]
    asks = [Question("name", "42", (f"{name}#there",)) for name in names]

    found = corpus.of([corpus.plan(name, [_page(name)]) for name in names], asks)

    assert found.lost == 0
    for name, asked in zip(names, found.asked, strict=True):
        seen = {chunk.key: chunk.text.count("here: 42.") for chunk in found.chunks if chunk.filename == name}  # of nine
        assert asked.filename == name
        assert {key for key, times in seen.items() if times >= 7} <= asked.answers
        assert asked.answers <= {key for key, times in seen.items() if times >= 3}
        assert 0 < len(asked.answers) < len(seen)


def _page(name: str) -> Page:
    around = [Block("paragraph", f"Page {number}. {LONG}", f"{name}#here") for number in range(60)]
    heading = Block("heading", "Where it is", f"{name}#there", depth=2)
    sought = Block("paragraph", "The *answer* is_here: 42. " * 9, f"{name}#there")
    return Page(name, "A", (), blocks=[*around, heading, sought, *around])


def test_without_the_package_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoManual, match="dpkg -x"):
        manual(tmp_path)


async def test_what_a_search_costs_is_measured_beside_what_it_finds(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of it in small: an index is built, filters are asked, half of a store is deleted."""
    monkeypatch.setattr(indexes, "EACH_UP_TO", 500)
    monkeypatch.setattr(indexes, "KEPT_DOWN_TO", 100)
    url = create_database(postgres.url, "bench_scale")

    costs = await scale.measure(url, [200, 4000], questions=10, small=3)

    assert [cost.what for cost in costs] == [
        "4,000, no index yet",
        "200",
        "4,000",
        *(f"4,000, {part}" for part in scale.PARTS),
        "4,000, half deleted",
        "4,000, and vacuumed",
    ]
    assert all(0 < cost.p50 <= cost.p95 and cost.p50_words <= cost.p95_words for cost in costs)
    assert all(cost.recall >= 0.95 for cost in costs)
    with psycopg.connect(url) as connection:
        used = connection.execute("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE 'passages_near%'")
        assert [scans > 50 for (scans,) in used] == [True]
        ((scans,),) = connection.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'chunks'").fetchall()
        assert scans < 10, "a search reads other stores' chunks"
    assert "4,000, half deleted" in "\n".join(scale.table(costs))


async def test_the_server_searches_the_same_chunks_by_words_and_by_vectors(postgres: Postgres) -> None:
    texts = ["Apples keep for months.", "Pears do not.", "max_wal_size is a setting."]
    found = [Chunk(key, f"{key}.txt", text, 0, len(text), None, (), 8) for key, text in enumerate(texts)]
    pieces = [Passage(chunk.key, chunk.key, 0, chunk.text) for chunk in found]
    ways = {texts[0]: [1, 0], texts[1]: [0, 1], texts[2]: [-1, 0], "max_wal_size": [0, -1], "fruit": [0.6, 0.8]}
    vectors = {text: np.array(way, np.float32) for text, way in ways.items()}
    async with served(
        create_database(postgres.url, "bench_retrieval"), found, pieces, vectors, Known(vectors)
    ) as search:
        assert [order[:2] for order in await search.rank(["fruit"])] == [[1, 0]]
        assert [order[0] for order in await search.rank(["max_wal_size"])] == [2]
        assert [order[:2] for order in await search.by_vectors(vectors).rank(["fruit"])] == [[1, 0]]
        assert await search.by_words().rank(["apples", "fruit"]) == [[0], []]
