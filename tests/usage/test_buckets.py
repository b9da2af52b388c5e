"""Buckets, groups and pages, held against sums over every single thing that was used."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from shared.database import Database
from shared.usage import commands
from tests.organization.conftest import Admin
from tests.system import System
from tests.usage.asking import DAY

WIDTHS = {"1m": 60, "1h": 3600, "1d": DAY}
MOST = {"1m": 1440, "1h": 168, "1d": 31}
FIGURES = {
    "num_model_requests": "requests",
    "input_tokens": "input_tokens",
    "input_cached_tokens": "cached_tokens",
    "output_tokens": "output_tokens",
}


@dataclass(frozen=True)
class Row:
    """Something that was used."""

    at: int
    project_id: str
    api_key_id: str
    model: str
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int


class History:
    """Two projects' usage: hours long ago, minutes of the last two days, and facts of just now."""

    def __init__(self, rng: random.Random, now: int) -> None:
        self.rng, self.now = rng, now // 60 * 60
        self.projects = [f"proj_{uuid4().hex}" for _ in range(2)]
        self.keys = [f"key_{uuid4().hex}" for _ in range(3)]
        self.models = ["model-a", "model-b"]
        ago = [rng.randrange(50, 24 * 60) * 3600 for _ in range(300)]
        hours = {self.now // 3600 * 3600 - one for one in ago}
        minutes = {self.now - rng.randrange(1, 2 * 24 * 60 - 60) * 60 for _ in range(300)}
        self.old = [self._row(at) for at in sorted(hours | minutes)]
        self.new = [self._row(self.now) for _ in range(20)]

    def _row(self, at: int) -> Row:
        tokens = self.rng.randrange(1000)
        who = self.rng.choice(self.projects), self.rng.choice(self.keys), self.rng.choice(self.models)
        return Row(at, *who, self.rng.randrange(1, 5), tokens, self.rng.randrange(tokens + 1), self.rng.randrange(1000))

    def keep(self, database_url: str) -> None:
        """Facts stay where they are for as long as this is looked at: the sums of workers would find them too."""
        rows = [(datetime.fromtimestamp(row.at, UTC), *list(vars(row).values())[1:]) for row in self.old]
        facts = [(datetime.fromtimestamp(row.at, UTC), *list(vars(row).values())[1:]) for row in self.new]
        names = "at, project_id, api_key_id, subject, requests, input_tokens, cached_tokens, output_tokens, kind"
        with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
            for table, some in (("usage_minutes", rows), ("usage_facts", facts)):
                values = "%s, %s, %s, %s, %s, %s, %s, %s, 'completions'"
                cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({values})", some)  # pyright: ignore[reportArgumentType]

    def questions(self, number: int) -> Iterator[dict[str, Any]]:
        """Of all kinds; some begin or end in the middle of a bucket."""
        for _ in range(number):
            width = self.rng.choice(list(WIDTHS))
            most = min(40 * 3600, 1440 * 60) if width == "1m" else 60 * DAY
            start = self.now - self.rng.randrange(1, most // 60) * 60
            end = self.rng.choice([None, self.rng.randrange(start + 60, self.now + 120, 60)])
            filters = {
                "project_ids": self.rng.choice([self.projects, self.projects[:1]]),
                "api_key_ids": self.rng.choice([None, self.keys[:2]]),
                "models": self.rng.choice([None, self.models[:1]]),
            }
            by = self.rng.sample(["project_id", "api_key_id", "model"], self.rng.randrange(4))
            asked: dict[str, Any] = {
                "start_time": start,
                "end_time": end,
                "bucket_width": width,
                "group_by": by or None,
            }
            limit = {"limit": self.rng.randrange(1, MOST[width] + 1)}
            yield {name: value for name, value in {**asked, **filters, **limit}.items() if value is not None}

    def expected(self, question: dict[str, Any]) -> dict[tuple[Any, ...], Counter[str]]:
        """Each bucket and group with its sums, one by one."""
        start, end = question["start_time"], question.get("end_time", self.now + DAY)
        width, sums = WIDTHS[question["bucket_width"]], dict[tuple[Any, ...], Counter[str]]()
        wanted = {"project_id": "project_ids", "api_key_id": "api_key_ids", "model": "models"}
        for row in [*self.old, *self.new]:
            fits = all(
                getattr(row, name) in question.get(field, [getattr(row, name)]) for name, field in wanted.items()
            )
            if fits and start <= row.at < end:
                bucket = max(start, row.at // width * width)
                group = [getattr(row, name) if name in question.get("group_by", ()) else None for name in wanted]
                counted = sums.setdefault((bucket, *group), Counter())
                counted.update({name: getattr(row, figure) for name, figure in FIGURES.items()})
        return sums


async def every_page(admin: Admin, question: dict[str, Any]) -> list[Any]:
    buckets: list[Any] = []
    page: dict[str, str] = {}
    while True:
        answer = await admin.client.admin.organization.usage.completions(**question, **page)  # type: ignore[arg-type]
        assert len(answer.data) <= question["limit"]
        buckets += answer.data
        if not answer.has_more:
            assert answer.next_page is None
            return buckets
        assert answer.next_page is not None
        page = {"page": answer.next_page}


def assert_continuous(buckets: Sequence[Any], question: dict[str, Any]) -> None:
    width = WIDTHS[question["bucket_width"]]
    assert buckets[0].start_time == question["start_time"]
    assert [one.start_time for one in buckets[1:]] == [one.end_time for one in buckets[:-1]]
    assert all(one.start_time % width == 0 for one in buckets[1:])
    assert all(one.end_time - one.start_time <= width for one in buckets)
    if "end_time" in question:
        assert buckets[-1].end_time == question["end_time"]


@pytest.mark.parametrize("seed", range(3))
async def test_all_pages_together_are_what_was_used(admin: Admin, system: System, seed: int) -> None:
    rng = random.Random(seed)
    history = History(rng, int(datetime.now(UTC).timestamp()))
    history.keep(system.database_url)

    for question in history.questions(25):
        buckets = await every_page(admin, question)
        assert_continuous(buckets, question)
        found = {
            (bucket.start_time, one.project_id, one.api_key_id, one.model): Counter(
                {name: getattr(one, name) for name in FIGURES}
            )
            for bucket in buckets
            for one in bucket.results
        }
        assert found == history.expected(question), question


async def test_minutes_become_hours_and_lose_nothing(admin: Admin, system: System) -> None:
    history = History(random.Random(9), int((datetime.now(UTC) - timedelta(days=4)).timestamp()))
    history.keep(system.database_url)
    question: dict[str, Any] = {
        "start_time": (history.now - 61 * DAY) // DAY * DAY,
        "project_ids": history.projects,
        "bucket_width": "1h",
        "group_by": ["api_key_id"],
        "limit": 168,
    }
    before = await every_page(admin, question)

    async with Database(system.database_url, pool_size=2) as database:
        await commands.tidy(database)

    left = "SELECT count(*) FROM usage_minutes WHERE extract(minute FROM at) <> 0 AND project_id = ANY(%s)"
    assert system.query(left, history.projects) == [(0,)]
    assert [one.results for one in await every_page(admin, question)] == [one.results for one in before]


async def test_what_cannot_be_asked(admin: Admin) -> None:
    now = int(datetime.now(UTC).timestamp())
    for query, param in (
        ("", "start_time"),
        (f"?start_time={now}&end_time={now}", "end_time"),
        (f"?start_time={now}&limit=32", "limit"),
        (f"?start_time={now}&page=page_x", "page"),
        (f"?start_time={now}&user_ids[]=a", "user_ids[]"),
        (f"?start_time={now}&group_by=user_id", "group_by"),
        (f"?start_time={now - 3 * DAY}&bucket_width=1m", "bucket_width"),
    ):
        answer = await admin.http.get(f"/organization/usage/completions{query}")
        assert answer.status_code == 400, query
        assert param in answer.json()["error"]["param"], answer.text


async def test_lists_may_be_written_either_way(admin: Admin) -> None:
    for query in ("project_ids=a&project_ids=b", "project_ids[]=a&project_ids[]=b"):
        answer = await admin.http.get(f"/organization/usage/completions?start_time=1&{query}")
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "kind", ["images", "moderations", "audio_speeches", "audio_transcriptions", "web_search_calls"]
)
async def test_what_nobody_can_use_is_empty(admin: Admin, kind: str) -> None:
    page = await getattr(admin.client.admin.organization.usage, kind)(start_time=1, limit=2)
    assert [bucket.results for bucket in page.data] == [[], []]
    assert page.has_more
