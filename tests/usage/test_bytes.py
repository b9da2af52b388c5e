"""Bytes that are kept: from files in vector stores, by the hourly look at them, to what the administration is told."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.embedded.postgres import Postgres
from shared.audit.actor import command_line
from shared.database import Database
from shared.projects import commands as projects
from shared.usage import commands
from tests.organization.conftest import Admin
from tests.scripted_model import ScriptedModel
from tests.system import Project, System, create_database, redis_apart
from tests.usage.asking import DAY, costs, project_id_of, today
from tests.vector_stores import store_of

BERGEN = "Det regner støtt i Bergen, og på Ask."
APPLES = "Apples keep for months."
RAIN, FRUIT = 39, 23
"""Bytes of these in UTF-8: two letters of the first have two."""

GIB = 2**30
PRICES = """
version = "tests"
[[vector_stores]]
gib_day = "1000000000"
[[files]]
gib_day = "500000000"
"""


@pytest.fixture
def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, tmp_path: Path) -> Iterator[System]:
    """One of the test's own, whose hours can be turned back, and where the first gibibyte costs something too."""
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    root = room / tmp_path.name
    root.mkdir()
    url = create_database(postgres.url, tmp_path.name)
    settings = {"ASSISTANTD_PRICES": str(prices)}
    made = System(root, url, redis_apart(redis_url), model.base_url, settings)
    made.start()
    yield made
    made.stop()


async def look(system: System) -> None:
    """What a worker does within a minute."""
    async with Database(system.database_url, pool_size=2) as database:
        await commands.tidy(database)


async def pass_by(system: System, hours: int = 1) -> None:
    """So many hours pass since somebody looked last, and somebody looks again."""
    with psycopg.connect(system.database_url) as connection:  # in two steps, so that no row meets another one
        connection.execute("UPDATE usage_bytes SET hour = hour - interval '1000 days'")
        connection.execute(
            """UPDATE usage_bytes SET hour = hour + (
                 SELECT date_trunc('hour', now()) - %s * interval '1 hour' - max(hour) FROM usage_bytes)""",
            [hours],
        )
    await look(system)


async def kept(admin: Admin, width: str = "1h", **question: Any) -> list[Any]:
    """What is told of the last two days, by the beginning of the bucket."""
    start, limit = today() - DAY, {"1h": 48, "1d": 2}[width]
    asked: dict[str, Any] = {"start_time": start, "bucket_width": width, "limit": limit, **question}
    page = await admin.client.admin.organization.usage.vector_stores(**asked)
    return [(bucket.start_time, one) for bucket in page.data for one in bucket.results]


async def by_hour(admin: Admin, **question: Any) -> list[int]:
    """The bytes of those hours in which something was kept."""
    return [one.usage_bytes for _, one in await kept(admin, **question)]


async def test_what_stores_keep_from_the_file_to_the_bill(system: System, project: Project, admin: Admin) -> None:
    bergen, _ = await store_of(project.client, bergen=BERGEN)
    await pass_by(system)
    assert await by_hour(admin) == [RAIN] == [len(BERGEN.encode())]
    await look(system)
    assert await by_hour(admin) == [RAIN], "an hour counts once"

    await store_of(project.client, apples=APPLES, again=APPLES)
    await look(system)
    assert await by_hour(admin) == [RAIN], "it stays as it was when somebody looked"
    await pass_by(system)
    assert await by_hour(admin) == [RAIN, RAIN + 2 * FRUIT]

    system.stop_workers()  # nobody removes what is deleted
    await project.client.vector_stores.delete(bergen)
    await pass_by(system)
    assert await by_hour(admin) == [RAIN, RAIN + 2 * FRUIT, 2 * FRUIT]
    await pass_by(system, 2)
    assert await by_hour(admin) == [RAIN, RAIN + 2 * FRUIT, *[2 * FRUIT] * 3], "hours without a look are as the next"

    bill = defaultdict[str, float](float)
    asked = {"project_ids": [project_id_of(system, project)], "group_by": ["line_item"]}
    for line in await costs(admin.client, start_time=today() - DAY, **asked):
        assert line.amount.value == pytest.approx(line.quantity / 24 * {"v": 1e9, "f": 5e8}[line.line_item[0]])
        bill[line.line_item] += line.quantity
    assert bill == {
        "vector store storage": pytest.approx((RAIN + RAIN + 2 * FRUIT + 3 * 2 * FRUIT) / GIB),
        "file storage": pytest.approx((RAIN + 4 * (RAIN + 2 * FRUIT)) / GIB),
    }


async def test_stores_are_told_apart_by_project(system: System, project: Project, admin: Admin) -> None:
    """And a day is the average of its hours: those in which somebody has looked, nothing kept or something."""
    async with Project.of(system) as other:
        await pass_by(system, 3)
        await store_of(project.client, bergen=BERGEN)
        await store_of(other.client, apples=APPLES)
        await pass_by(system)
        await store_of(project.client, apples=APPLES)
        await pass_by(system)
        ours, theirs = project_id_of(system, project), project_id_of(system, other)

    assert await by_hour(admin) == [RAIN + FRUIT, RAIN + FRUIT + FRUIT]
    assert await by_hour(admin, project_ids=[theirs]) == [FRUIT, FRUIT]
    assert await by_hour(admin, project_ids=["proj_of_nobody"]) == []
    grouped = [(one.project_id, one.usage_bytes) for _, one in await kept(admin, group_by=["project_id"])]
    first, second = grouped[:2], grouped[2:]
    assert (dict(first), dict(second)) == ({ours: RAIN, theirs: FRUIT}, {ours: RAIN + FRUIT, theirs: FRUIT})

    by_day = defaultdict[int, list[int]](list)
    looked = system.query("SELECT extract(epoch FROM hour)::int FROM usage_bytes WHERE project_id = '' ORDER BY 1")
    for (hour,), size in zip(looked, [*[0] * (len(looked) - 2), RAIN, RAIN + FRUIT], strict=True):
        by_day[hour // DAY * DAY].append(size)
    averages = {day: round(sum(sizes) / len(sizes)) for day, sizes in by_day.items() if sum(sizes)}
    assert {day: one.usage_bytes for day, one in await kept(admin, "1d", project_ids=[ours])} == averages


async def test_a_deleted_project_keeps_nothing(system: System, project: Project, admin: Admin) -> None:
    await store_of(project.client, bergen=BERGEN)
    await pass_by(system)
    system.stop_workers()
    project_id = project_id_of(system, project)
    await admin.client.admin.organization.projects.archive(project_id)
    await pass_by(system)
    assert await by_hour(admin) == [RAIN, RAIN], "of an archived one the data stay"
    async with Database(system.database_url, pool_size=2) as database:
        await projects.delete(database, command_line(), project_id)
    await pass_by(system)
    assert await by_hour(admin) == [RAIN, RAIN]
