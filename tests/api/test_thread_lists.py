"""Threads listed by their creation or last activity, and what has certain metadata: ours, beyond the original."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import psycopg
import pytest
from sqlalchemy import text

from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.table import Page
from shared.threads import commands as threads
from tests import http
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System, create_database, until

FUNCTION: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


async def made(project: Project, count: int, **more: Any) -> list[str]:
    """New threads, oldest first."""
    return [(await project.client.beta.threads.create(**more)).id for _ in range(count)]


async def listed(client: httpx2.AsyncClient, path: str = "/threads", **params: Any) -> list[str]:
    answer = await client.get(str(httpx2.URL(path).copy_merge_params(params)))
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["data"]]


async def active(client: httpx2.AsyncClient) -> list[str]:
    """Those that something happened on last first."""
    return await listed(client, order_by="last_activity")


async def say(project: Project, thread: str) -> str:
    return (await project.client.beta.threads.messages.create(thread, role="user", content="Hello?")).id


@pytest.mark.parametrize("order_by", ["created_at", "last_activity"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_pages_hold_each_thread_once(
    client: httpx2.AsyncClient, project: Project, order_by: str, order: str, limit: int
) -> None:
    threads = await made(project, 7)
    for thread in threads[::-1]:
        await say(project, thread)
    seen, after = list[str](), dict[str, str]()
    while True:
        params = {"order_by": order_by, "order": order, "limit": limit, **after}
        page = (await client.get("/threads", params=params)).json()
        seen += [thread["id"] for thread in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}

    assert seen == (threads if (order == "asc") == (order_by == "created_at") else threads[::-1])
    before: dict[str, Any] = {"order_by": order_by, "order": order, "before": seen[4], "limit": 2}
    assert await listed(client, **before) == seen[2:4]


async def test_the_newest_are_first_and_tell_when_they_were_active(
    client: httpx2.AsyncClient, project: Project, system: System
) -> None:
    old, new = await made(project, 2, metadata={"a": "b"})
    system.query("UPDATE thread_activity SET active_at = to_timestamp(1700000000) WHERE thread_id = %s", old)

    page = (await client.get("/threads")).json()

    assert [thread["id"] for thread in page["data"]] == [new, old]
    retrieved = (await client.get(f"/threads/{old}")).json()
    assert page["data"][1] == {**retrieved, "assistantd": {"last_activity_at": 1_700_000_000}}
    assert page["data"][0]["assistantd"]["last_activity_at"] == page["data"][0]["created_at"]


async def test_nothing_to_list(client: httpx2.AsyncClient, system: System) -> None:
    async with Project.of(system) as stranger:
        (theirs,) = await made(stranger, 1, metadata={"a": "b"})

    for params in ({}, {"order_by": "last_activity"}, {"metadata[a]": "b"}, {"after": theirs}):
        page = (await client.get("/threads", params=params)).json()
        assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


async def test_what_counts_as_activity(client: httpx2.AsyncClient, project: Project, model: ScriptedModel) -> None:
    a, b, c = await made(project, 3)
    assert await active(client) == [c, b, a]

    message = await say(project, a)
    assert await active(client) == [a, c, b]

    hold = Gate()
    name = model.script(Say(["One ", hold, "two"]), CallFunctions([("f", {})]))
    assistant = (await project.client.beta.assistants.create(model=name, tools=[FUNCTION])).id
    run = await project.client.beta.threads.runs.create(b, assistant_id=assistant)
    await hold.reached()
    assert await active(client) == [b, a, c]

    hold.open()
    await project.client.beta.threads.runs.poll(run.id, thread_id=b, poll_interval_ms=20)
    await say(project, c)
    silent = await project.client.beta.threads.runs.create_and_poll(
        thread_id=a, assistant_id=assistant, poll_interval_ms=20
    )  # a run is activity, also where nothing was said
    assert silent.status == "requires_action"
    assert await active(client) == [a, c, b]

    await project.client.beta.threads.messages.delete(message, thread_id=a)
    await project.client.beta.threads.update(b, metadata={"a": "b"})
    assert await active(client) == [a, c, b]


async def test_an_answer_is_activity(client: httpx2.AsyncClient, project: Project, model: ScriptedModel) -> None:
    hold = Gate()
    assistant = (await project.client.beta.assistants.create(model=model.script(Say("Hm.", before=hold)))).id
    answered, other = await made(project, 2)
    run = await project.client.beta.threads.runs.create(answered, assistant_id=assistant)
    await hold.reached()
    await say(project, other)
    assert await active(client) == [other, answered]

    hold.open()
    await project.client.beta.threads.runs.poll(run.id, thread_id=answered, poll_interval_ms=20)

    assert await active(client) == [answered, other]


async def test_messages_that_waited_for_their_run_are_activity(
    client: httpx2.AsyncClient, project: Project, model: ScriptedModel
) -> None:
    """They enter the thread when it is their run's turn."""
    name = model.script(CallFunctions([("f", {})]), CallFunctions([("f", {})]))
    assistant = (await project.client.beta.assistants.create(model=name, tools=[FUNCTION])).id
    busy, other = await made(project, 2)
    first = await project.client.beta.threads.runs.create_and_poll(
        thread_id=busy, assistant_id=assistant, poll_interval_ms=20
    )
    queued = await project.client.beta.threads.runs.create(
        busy,
        assistant_id=assistant,
        additional_messages=[{"role": "user", "content": "And?"}],
        extra_body={"assistantd": {"when_busy": "enqueue"}},
    )
    await say(project, other)
    assert await active(client) == [other, busy]

    await project.client.beta.threads.runs.cancel(first.id, thread_id=busy)

    await project.client.beta.threads.runs.poll(queued.id, thread_id=busy, poll_interval_ms=20)
    assert await active(client) == [busy, other]


async def test_a_refused_run_is_no_activity(client: httpx2.AsyncClient, project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("f", {})]))
    assistant = (await project.client.beta.assistants.create(model=name, tools=[FUNCTION])).id
    busy, other = await made(project, 2)
    await project.client.beta.threads.runs.create_and_poll(thread_id=busy, assistant_id=assistant, poll_interval_ms=20)
    await say(project, other)

    for path, body in (("runs", {"assistant_id": assistant}), ("messages", {"role": "user", "content": "x"})):
        assert (await client.post(f"/threads/{busy}/{path}", json=body)).status_code == 400
    assert (await client.post(f"/threads/{busy}/runs", json={"assistant_id": "asst_none"})).status_code == 404

    assert await active(client) == [other, busy]


async def test_a_deleted_cursor_marks_its_place_by_creation_alone(client: httpx2.AsyncClient, project: Project) -> None:
    threads = await made(project, 5)
    await project.client.beta.threads.delete(threads[2])

    assert await listed(client, after=threads[2], order="asc") == threads[3:]
    answer = await client.get("/threads", params={"after": threads[2], "order_by": "last_activity"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "after"


async def test_nobody_waits_for_a_thread_that_others_are_active_on(
    client: httpx2.AsyncClient, project: Project, system: System
) -> None:
    """Its row is locked by somebody who notes an instant of about now: that is good enough."""
    (thread,) = await made(project, 1)
    with psycopg.connect(system.database_url) as connection:
        connection.execute("SELECT FROM thread_activity WHERE thread_id = %s FOR UPDATE", (thread,))

        answer = await client.post(f"/threads/{thread}/messages", json={"role": "user", "content": "x"}, timeout=5)

    assert answer.status_code == 200


async def test_a_message_to_a_thread_that_is_being_deleted(
    client: httpx2.AsyncClient, project: Project, system: System
) -> None:
    """Neither blocks the other for ever, and the message comes too late."""
    (thread,) = await made(project, 1)
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%INSERT INTO messages%%'"
    with psycopg.connect(system.database_url) as connection:
        connection.execute("DELETE FROM thread_activity WHERE thread_id = %s", (thread,))
        connection.execute("DELETE FROM threads WHERE id = %s", (thread,))
        asked = asyncio.create_task(client.post(f"/threads/{thread}/messages", json={"role": "user", "content": "x"}))
        await until(lambda: bool(system.query(waits)))
        connection.commit()

    answer = await asked
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"No thread found with id '{thread}'."


async def test_threads_by_metadata(client: httpx2.AsyncClient, project: Project) -> None:
    blue = await made(project, 3, metadata={"team": "blue", "user": "räksmörgås & co"})
    red = await made(project, 2, metadata={"team": "red", "user": "räksmörgås & co"})
    await made(project, 1)

    async def found(*pairs: tuple[str, str], **more: Any) -> list[str]:
        query = httpx2.QueryParams([(f"metadata[{key}]", value) for key, value in pairs]).merge(more)
        return await listed(client, f"/threads?{query}")

    assert await found(("team", "blue")) == blue[::-1]
    assert await found(("user", "räksmörgås & co")) == [*red[::-1], *blue[::-1]]
    assert await found(("team", "red"), ("user", "räksmörgås & co"), order="asc") == red
    assert await found(("team", "red"), ("user", "nobody")) == []
    assert await found(("team", "blue"), order_by="last_activity", limit=2) == blue[:0:-1]
    assert await found(("team", "blue"), after=blue[1]) == [blue[0]]
    assert await found(("team", "blue"), after=red[0]) == blue[::-1]  # a cursor needn't be one of those that are left
    sent = await project.client.get(
        "/threads", cast_to=object, options={"params": {"metadata": {"team": "red"}, "limit": 1}}
    )
    assert [thread["id"] for thread in sent["data"]] == [red[1]]  # type: ignore[index] # as the client reads it


async def test_messages_and_runs_by_metadata(
    client: httpx2.AsyncClient, project: Project, model: ScriptedModel
) -> None:
    name = model.script(*[Say("Noted.")] * 3)
    assistant = (await project.client.beta.assistants.create(model=name)).id
    (thread,) = await made(project, 1)
    messages, runs = list[str](), list[str]()
    for number in range(3):
        metadata = {"even": str(number % 2 == 0)}
        message = await project.client.beta.threads.messages.create(thread, role="user", content="x", metadata=metadata)
        run = await project.client.beta.threads.runs.create_and_poll(
            thread_id=thread, assistant_id=assistant, metadata=metadata, poll_interval_ms=20
        )
        messages, runs = [message.id, *messages], [run.id, *runs]

    for path, all_of_them in (("messages", messages), ("runs", runs)):
        even = f"/threads/{thread}/{path}?metadata[even]=True"
        assert await listed(client, even) == [all_of_them[0], all_of_them[2]]
        assert await listed(client, even, limit=1, after=all_of_them[0]) == [all_of_them[2]]
        assert await listed(client, even, order="asc", limit=1) == [all_of_them[2]]
        assert await listed(client, f"{even}&metadata[odd]=True") == []
        assert (await client.get(f"/threads/thread_none/{path}?metadata[even]=True")).status_code == 404


REFUSED: list[tuple[str, str, str]] = [
    ("metadata=x", "metadata", "Unknown parameter: 'metadata'."),
    ("metadata[a=x", "metadata[a", "Unknown parameter: 'metadata[a'."),
    ("metadata[a]=x&metadata[a]=y", "metadata[a]", "two were given"),
    (f"metadata[{'k' * 65}]=x", f"metadata[{'k' * 65}]", "at most 64 characters"),
    (f"metadata[a]={'v' * 513}", "metadata[a]", "at most 64 characters, values 512"),
    ("&".join(f"metadata[{number}]=x" for number in range(17)), "metadata", "at most 16 pairs"),
]


@pytest.mark.parametrize(("query", "param", "says"), REFUSED)
@pytest.mark.parametrize("path", ["", "/{thread}/messages", "/{thread}/runs"])
async def test_filters_that_are_refused(
    client: httpx2.AsyncClient, project: Project, path: str, query: str, param: str, says: str
) -> None:
    (thread,) = await made(project, 1)

    answer = await client.get(f"/threads{path.format(thread=thread)}?{query}")

    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == param


async def test_other_parameters_that_are_refused(client: httpx2.AsyncClient) -> None:
    for query, param in (
        ("order_by=size", "order_by"),
        ("limit=101", "limit"),
        ("order=up", "order"),
        ("after=x", "after"),
    ):
        answer = await client.get(f"/threads?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert "null character" in (await client.get("/threads?metadata[a]=%00")).json()["error"]["message"]


@pytest.fixture(scope="module")
async def many(postgres: Postgres) -> AsyncIterator[Database]:
    """A project of 20,000 threads, those of every hundredth marked, among others of another project."""
    url = create_database(postgres.url, "many_threads")
    async with Database(url, pool_size=1) as database:
        for statement in (
            """INSERT INTO threads (id, project_id, created_at, metadata)
            SELECT 'thread_' || n, 'proj_' || n % 2, now() - n * interval '1 minute',
              CASE WHEN n % 200 = 0 THEN '{"marked": "yes"}'::jsonb ELSE jsonb_build_object('n', n::text) END
            FROM generate_series(1, 40000) AS n""",
            """INSERT INTO thread_activity SELECT id, project_id, created_at + interval '1 day' FROM threads""",
            "ANALYZE",
        ):
            await database.all(text(statement))
        yield database


class Explaining:
    """Executes statements, and counts the rows that Postgres looked at for it."""

    def __init__(self, database: Database) -> None:
        self._database = database.within("proj_0")  # as the API does it
        self.looked_at = 0

    async def all(self, statement: Any, params: Any = None) -> Any:
        (plan,) = await self._database.all(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}"), params)
        self.looked_at += _rows_of(plan["QUERY PLAN"][0]["Plan"])
        return await self._database.all(statement, params)

    async def one(self, statement: Any, params: Any = None) -> Any:
        rows = await self.all(statement, params)
        return rows[0] if rows else None


def _rows_of(node: Any) -> int:
    """Rows that scans returned, and those they threw away."""
    own = 0
    if "Scan" in node["Node Type"]:
        own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return own + sum(_rows_of(child) for child in node.get("Plans", []))


@pytest.mark.parametrize("order_by", ["created_at", "last_activity"])
@pytest.mark.parametrize("after", [None, "thread_20000", "thread_39900"])
async def test_a_page_costs_the_same_at_any_depth(many: Database, order_by: threads.OrderBy, after: str | None) -> None:
    explaining = Explaining(many)

    page = await threads.page(explaining, "proj_0", Page(after=after), {}, order_by)

    assert len(page.rows) == 20
    assert page.has_more
    assert explaining.looked_at <= 50


async def test_metadata_are_looked_up(many: Database) -> None:
    explaining = Explaining(many)

    page = await threads.page(explaining, "proj_0", Page(limit=100), {"marked": "yes"}, "created_at")

    assert len(page.rows) == 100
    assert page.has_more
    assert explaining.looked_at <= 1000
    rare = Explaining(many)
    assert len((await threads.page(rare, "proj_0", Page(), {"n": "39998"}, "created_at")).rows) == 1
    assert rare.looked_at <= 20
