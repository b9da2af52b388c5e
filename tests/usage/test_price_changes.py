"""A price that changes in the middle of a month: each side of that day is billed by its own, over HTTP."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.usage import commands
from tests.organization.conftest import Admin
from tests.scripted_model import ScriptedModel
from tests.system import Project, System, create_database, redis_apart
from tests.usage.asking import DAY, costs, key_of

GIB = 2**30
JUNE = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
LAST, FIRST = JUNE + 13 * DAY, JUNE + 14 * DAY
"""Begin the last day of the old prices, the 14th, and the first day of the new ones."""

PRICES = """
version = "tests"
[[tokens]]
models = ["speaks"]
from = 2026-01-01
until = 2026-06-15
input = "1"
cached_input = "0.5"
output = "2"
[[tokens]]
models = ["speaks"]
from = 2026-06-15
input = "3"
cached_input = "1"
output = "8"
[[tokens]]
models = ["embeds"]
input = "0.10"
[[tokens]]
models = ["embeds"]
from = 2026-06-15
input = "0.20"
[[code_interpreter_sessions]]
each = "0.03"
[[code_interpreter_sessions]]
from = 2026-06-15
each = "0.05"
[[file_search_calls]]
from = 2026-06-15
each = "0.0025"
[[vector_stores]]
gib_day = "0.10"
until = 2026-06-15
[[vector_stores]]
gib_day = "0.20"
from = 2026-06-15
"""
BY_HAND = {
    LAST: {
        "speaks, input": 0.60 * 1,
        "speaks, cached input": 0.40 * 0.5,
        "speaks, output": 0.10 * 2,
        "embeds, input": 2 * 0.10,
        "code interpreter sessions": 3 * 0.03,
        "file search calls": 0.0,
        "vector store storage": 6 * 0.10 / 24,
    },
    FIRST: {
        "speaks, input": 0.60 * 3,
        "speaks, cached input": 0.40 * 1,
        "speaks, output": 0.10 * 8,
        "embeds, input": 2 * 0.20,
        "code interpreter sessions": 3 * 0.05,
        "file search calls": 4 * 0.0025,
        "vector store storage": 6 * 0.20 / 24,
    },
}
"""Of the same on both days; see `use`."""


@pytest.fixture(scope="module")
def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    """An API process alone: what was used is written down by the tests."""
    root = room / "price-changes"
    root.mkdir()
    (root / "prices.toml").write_text(PRICES)
    settings = {"ASSISTANTD_PRICES": str(root / "prices.toml")}
    url = create_database(postgres.url, "price_changes")
    made = System(root, url, redis_apart(redis_url), model.base_url, settings)
    made.spawn_api().wait_until_ready()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant


def use(system: System, project_id: str, key_id: str, minute: int) -> None:
    """A million tokens asked for, 400,000 of them at hand, 100,000 said, and so on; and 6 GiB in that hour."""
    at = datetime.fromtimestamp(minute, UTC)
    for kind, subject, *counts in (
        ("completions", "speaks", 7, 1_000_000, 400_000, 100_000),
        ("embeddings", "embeds", 5, 2_000_000, 0, 0),
        ("code_interpreter_sessions", "", 3, 0, 0, 0),
        ("file_search_calls", "vs_1", 4, 0, 0, 0),
    ):
        row = (kind, at, project_id, key_id, subject, *counts)
        system.query("INSERT INTO usage_minutes VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)", *row)
    hour = at.replace(minute=0)
    system.query("INSERT INTO usage_bytes VALUES ('vector_stores', %s, %s, %s)", hour, project_id, 6 * GIB)


async def test_each_side_is_billed_by_its_own_price(system: System, project: Project, admin: Admin) -> None:
    project_id, key_id = key_of(system, project)
    use(system, project_id, key_id, LAST + DAY - 60)  # the last minute before midnight
    use(system, project_id, key_id, FIRST)  # and the one after it

    async def lines(start: int, days: int) -> dict[str, float]:
        asked: Any = {"start_time": start, "end_time": start + days * DAY, "limit": 31, "group_by": ["line_item"]}
        sums: dict[str, float] = {}
        for one in await costs(admin.client, project_ids=[project_id], **asked):
            sums[one.line_item] = sums.get(one.line_item, 0) + one.amount.value
        return sums

    whole = {name: pytest.approx(BY_HAND[LAST][name] + BY_HAND[FIRST][name], abs=1e-12) for name in BY_HAND[LAST]}
    for _ in range(2):
        assert await lines(LAST, 1) == {name: pytest.approx(value, abs=1e-12) for name, value in BY_HAND[LAST].items()}
        assert await lines(FIRST, 1) == {
            name: pytest.approx(value, abs=1e-12) for name, value in BY_HAND[FIRST].items()
        }
        assert await lines(JUNE, 30) == whole
        async with Database(system.database_url, pool_size=2) as database:
            await commands.tidy(database)  # hours of what were minutes: the same to the bill
    assert system.query("SELECT count(*) FROM usage_minutes WHERE extract(minute FROM at) <> 0") == [(0,)]

    days: Any = await admin.client.admin.organization.usage.costs(
        start_time=JUNE, end_time=JUNE + 30 * DAY, limit=30, api_key_ids=[key_id]
    )
    of_key = {day.start_time: day.results[0].amount.value for day in days.data if day.results}
    assert of_key == {
        day: pytest.approx(sum(value for name, value in named.items() if "storage" not in name), abs=1e-12)
        for day, named in BY_HAND.items()
    }
