"""Joining a run's events: at any time, after any of them, from the log or from rows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as ConnectionLost

from api.reader import BEGINNING, MAX_QUEUED, Reader
from api.streams import Streams
from shared.database import Database
from shared.events.types import Entry, EventId, frame
from tests import http
from tests.http import Event
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System

FUNCTION: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


async def join(project: Project, path: str, after: str | None = None) -> list[Event]:
    headers = {} if after is None else {"last_event_id": after}
    async with http.session(project, **headers) as client, client.stream("GET", f"{path}/events") as response:
        assert response.status_code == 200, await response.aread()
        return [event async for event in http.events(response)]


async def streamed(project: Project, model: str, **assistant: Any) -> tuple[str, list[Event]]:
    """A streamed run: its path, and what the first reader saw."""
    made = await project.client.beta.assistants.create(model=model, **assistant)
    body = {"assistant_id": made.id, "stream": True, "thread": {"messages": [{"role": "user", "content": "Hi"}]}}
    async with http.session(project) as client, client.stream("POST", "/threads/runs", json=body) as response:
        seen = [event async for event in http.events(response)]
    run = seen[1].data
    return f"/threads/{run['thread_id']}/runs/{run['id']}", seen


async def test_joined_late_is_joined_from_the_beginning(project: Project, model: ScriptedModel) -> None:
    path, seen = await streamed(project, model.script(Say("One two three.")))

    assert await join(project, path) == seen


async def test_each_event_is_a_place_to_go_on_from(project: Project, model: ScriptedModel) -> None:
    """[RUN-4]."""
    path, seen = await streamed(project, model.script(Say("One two three.")))

    for place, event in enumerate(seen[:-1]):
        assert await join(project, path, event.id) == seen[place + 1 :]


async def test_a_run_in_progress_is_followed_to_its_end(project: Project, model: ScriptedModel) -> None:
    hold = Gate()
    assistant = await project.client.beta.assistants.create(model=model.script(Say(["One ", hold, "two."])))
    run = await project.client.beta.threads.create_and_run(assistant_id=assistant.id)
    await hold.reached()

    joining = asyncio.create_task(join(project, f"/threads/{run.thread_id}/runs/{run.id}"))
    hold.open()
    seen = await joining

    assert seen[0].name == "thread.created"
    assert seen[-2].name == "thread.run.completed"
    text = [
        event.data["delta"]["content"][0]["text"]["value"] for event in seen if event.name == "thread.message.delta"
    ]
    assert "".join(text) == "One two."


async def test_the_row_may_be_ahead_of_the_last_events(project: Project, model: ScriptedModel, redis_url: str) -> None:
    """[RUN-4]: the run has ended, what it said last is still on its way to the log."""
    path, seen = await streamed(project, model.script(Say(["One ", "two."], delay=timedelta(milliseconds=100))))
    run_id = path.rsplit("/", 1)[1]
    again: list[Event] = []
    async with redis.asyncio.Redis.from_url(redis_url) as client, http.session(project) as listener:
        entries: Any = await client.xrange(f"ev:{run_id}")
        one = next(EventId.parse(event.id) for event in seen if event.name == "thread.message.delta")
        told = next(n for n, (place, _) in enumerate(entries) if EventId.parse(place.decode()) >= one) + 1
        await client.delete(f"ev:{run_id}")
        for place, fields in entries[:told]:
            await client.xadd(f"ev:{run_id}", fields, id=place)
        async with listener.stream("GET", f"{path}/events") as response:
            async for event in http.events(response):
                again.append(event)
                if event.name == "thread.message.delta" and len(entries) > told:
                    for place, fields in entries[told:]:
                        await client.xadd(f"ev:{run_id}", fields, id=place)
                        await client.publish(f"evp:{run_id}", fields[b"e"])
                    told = len(entries)

    assert again == seen


async def test_a_run_that_waited_for_its_client_is_told_in_one(project: Project, model: ScriptedModel) -> None:
    path, first = await streamed(project, model.script(CallFunctions([("f", {})]), Say("Done.")), tools=[FUNCTION])
    assert await join(project, path) == first
    run = first[-2].data
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    await project.client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run["id"],
        thread_id=run["thread_id"],
        tool_outputs=[{"tool_call_id": call["id"], "output": ""}],
        poll_interval_ms=20,
    )

    seen = await join(project, path)

    assert [event.name for event in seen].count("done") == 1
    assert seen[: len(first) - 1] == first[:-1]
    assert seen[-2].name == "thread.run.completed"


async def test_without_a_log_it_is_told_from_rows(project: Project, model: ScriptedModel, redis_url: str) -> None:
    path, seen = await streamed(project, model.script(Say("One two three.")))
    with redis.Redis.from_url(redis_url) as client:
        assert client.delete(f"ev:{path.rsplit('/', 1)[1]}") == 1

    told = await join(project, path)

    whole = {event.name: event.data for event in seen}
    again = {event.name: event.data for event in told}
    for name in ("thread.message.completed", "thread.run.step.completed", "thread.run.completed", "done"):
        assert again[name] == whole[name]
    assert again["thread.message.delta"]["delta"]["content"][0]["text"]["value"] == "One two three."


@pytest.mark.parametrize("wrong", ["x", "1", "1-", "-1", "1-2-3", "one-two", "99-1"])
async def test_an_id_that_is_none_is_refused(project: Project, model: ScriptedModel, wrong: str) -> None:
    path, _ = await streamed(project, model.script(Say("One.")))
    async with http.session(project, last_event_id=wrong) as client:
        answer = await client.get(f"{path}/events")

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "Last-Event-ID"


@pytest.fixture
async def other_api(system: System, room: Path) -> AsyncIterator[System]:
    root = room / "other-api"
    root.mkdir()
    other = System(root, system.database_url, system.redis_url, system.model_url)
    other.spawn_api().wait_until_ready()
    yield other
    other.stop()


async def test_a_stream_outlives_its_api_process(system: System, other_api: System, model: ScriptedModel) -> None:
    """Begun on one process that dies, gone on with on another."""
    hold = Gate()
    seen: list[Event] = []
    async with Project.of(other_api) as tenant:
        assistant = await tenant.client.beta.assistants.create(model=model.script(Say(["One ", hold, "two."])))
        body = {"assistant_id": assistant.id, "stream": True}
        async with http.session(tenant) as client, client.stream("POST", "/threads/runs", json=body) as response:
            async for event in http.events(response):
                seen.append(event)
                if event.name == "thread.message.delta":
                    break
            other_api.processes[0].kill()
    run = seen[1].data

    async with Project.known(system, tenant.key) as survivor:
        joining = asyncio.create_task(join(survivor, f"/threads/{run['thread_id']}/runs/{run['id']}", seen[-1].id))
        hold.open()
        seen += await joining

    numbered = [tuple(int(part) for part in event.id.split("-")) for event in seen]
    assert numbered == sorted(set(numbered))
    text = [
        event.data["delta"]["content"][0]["text"]["value"] for event in seen if event.name == "thread.message.delta"
    ]
    assert "".join(text) == "One two."


def entry(term: int, first: int, last: int, *, ends: bool = False) -> Entry:
    frames = b"".join(frame(EventId(term, n), f"event.{n}", {}) for n in range(first, last + 1))
    return Entry(EventId(term, last), ends, frames)


def ids_of(frames: bytes) -> list[str]:
    return [line.removeprefix(b"id: ").decode() for line in frames.split(b"\n") if line.startswith(b"id: ")]


def test_a_reader_drops_what_it_has_seen_and_what_a_former_holder_says() -> None:
    reader = Reader("run_1", EventId(0, 3))
    for one in (entry(1, 1, 2), entry(1, 1, 2), entry(1, 1, 3), entry(2, 1, 1), entry(1, 4, 5)):
        reader.offer(one)

    assert ids_of(reader.take()) == ["1-1", "1-2", "1-3", "2-1"]


def test_a_log_that_lost_its_beginning_is_not_told_from_there() -> None:
    """[RUN-4]: a later term in it would be taken for the first."""
    reader = Reader("run_1", BEGINNING)
    reader.offer(entry(2, 1, 3, ends=True))

    assert reader.take() == b""
    assert reader.behind


def test_a_reader_tells_nothing_after_a_hole() -> None:
    """[RUN-4]: what is missing is looked for in the log, and if it isn't there told from rows, later."""
    reader = Reader("run_1", EventId(0, 3))
    for one in (entry(1, 1, 2), entry(1, 4, 5), entry(1, 6, 6, ends=True)):
        reader.offer(one)

    assert ids_of(reader.take()) == ["1-1", "1-2"]
    assert reader.behind
    reader.caught_up([entry(1, 4, 5), entry(1, 6, 6, ends=True)])
    assert reader.take() == b""
    assert not reader.done
    assert not reader.behind


def test_a_hole_is_filled_from_the_log() -> None:
    reader = Reader("run_1", EventId(0, 3))
    for one in (entry(1, 1, 2), entry(1, 4, 5, ends=True)):
        reader.offer(one)
    reader.take()

    reader.caught_up([entry(1, 3, 3), entry(1, 4, 5, ends=True)])

    assert ids_of(reader.take()) == ["1-3", "1-4", "1-5"]
    assert reader.done


def test_a_slow_reader_is_sent_to_the_log_and_bounded() -> None:
    reader = Reader("run_1", EventId(0, 3))
    for number in range(MAX_QUEUED * 3):
        reader.offer(entry(1, number + 1, number + 1))

    assert reader.behind
    reader.caught_up([entry(1, number + 1, number + 1) for number in range(MAX_QUEUED * 3)])
    assert len(ids_of(reader.take())) == MAX_QUEUED * 3


def test_a_hole_that_no_log_fills_is_given_up() -> None:
    """The log is gone: asking it for ever would keep the stream from its end."""
    reader = Reader("run_1", EventId(1, 2))
    reader.offer(entry(1, 4, 5))
    assert reader.take() == b""
    assert reader.behind

    reader.caught_up([])

    assert reader.take() == b""
    assert not reader.behind


class Log:
    """A log in Redis that can't be read at the first look."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = entries
        self.looks = 0

    async def xrange(self, _: str, min: str) -> list[tuple[bytes, dict[bytes, bytes]]]:  # noqa: A002 # Redis's word
        self.looks += 1
        if self.looks == 1:
            raise ConnectionLost("the connection was closed meanwhile")
        after = EventId.parse(min.removeprefix("("))
        return [(b"", {b"e": one.pack("run_1", None)}) for one in self.entries if one.last > after]


async def test_a_log_that_cannot_be_read_is_looked_at_again(redis_url: str) -> None:
    """[RUN-4]: it has everything; a failed look is no hole."""
    log: Any = Log(entry(1, 1, 2), entry(1, 3, 4), entry(1, 5, 5, ends=True))
    streams = Streams(Database("postgresql://nowhere"), log, redis_url)
    reader = streams.subscribe("run_1", EventId(0, 3))
    reader.fall_behind()
    reader.offer(entry(1, 5, 5, ends=True))

    frames = b"".join([piece async for piece in streams.follow(reader)])

    assert ids_of(frames) == ["1-1", "1-2", "1-3", "1-4", "1-5"]
    assert log.looks == 2


async def test_what_is_published_by_somebody_else_is_left_alone(
    project: Project, model: ScriptedModel, redis_url: str
) -> None:
    hold = Gate()
    assistant = await project.client.beta.assistants.create(model=model.script(Say(["One ", hold, "two."])))
    body = {"assistant_id": assistant.id, "stream": True}
    seen: list[Event] = []
    async with http.session(project) as client, client.stream("POST", "/threads/runs", json=body) as response:
        async for event in http.events(response):
            seen.append(event)
            if event.name == "thread.run.in_progress":
                async with redis.asyncio.Redis.from_url(redis_url) as administrator:
                    await administrator.publish(f"evp:{event.data['id']}", b"not ours")
                hold.open()
    assert [event.name for event in seen[-2:]] == ["thread.run.completed", "done"]
    assert "two." in "".join(str(event.data) for event in seen if event.name == "thread.message.delta")
