"""Streams: which events, in which order, with what in them, on every path."""

from typing import Any

import pytest

from tests import http
from tests.http import Event
from tests.scripted_model import CallFunctions, Fail, Gate, Say, ScriptedModel
from tests.system import Project, System

WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


async def assistant_of(project: Project, model: str, **fields: Any) -> str:
    return (await project.client.beta.assistants.create(model=model, **fields)).id


async def stream(project: Project, path: str, body: dict[str, Any]) -> list[Event]:
    async with (
        http.session(project) as client,
        client.stream("POST", path, json={**body, "stream": True}) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return [event async for event in http.events(response)]


def names(events: list[Event]) -> list[str]:
    """Event names, with runs of deltas shown as one."""
    found: list[str] = []
    for event in events:
        if not (found and event.name.endswith(".delta") and found[-1] == event.name):
            found.append(event.name)
    return found


MESSAGE = [
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
    "thread.message.completed",
    "thread.run.step.completed",
]


async def test_a_thread_and_run_stream_from_creation_to_done(project: Project, model: ScriptedModel) -> None:
    assistant = await assistant_of(project, model.script(Say("Good day.")))

    events = await stream(
        project,
        "/threads/runs",
        {"assistant_id": assistant, "thread": {"messages": [{"role": "user", "content": "Hi"}]}},
    )

    assert names(events) == [
        "thread.created",
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
        *MESSAGE,
        "thread.run.completed",
        "done",
    ]
    said = [event.data for event in events if event.name == "thread.message.delta"]
    assert "".join(delta["delta"]["content"][0]["text"]["value"] for delta in said) == "Good day."
    created = next(event.data for event in events if event.name == "thread.message.created")
    assert created["content"] == []
    thread = events[0].data
    stored = (await project.client.beta.threads.retrieve(thread["id"])).to_dict()
    assert stored == thread


async def test_event_ids_only_grow(project: Project, model: ScriptedModel) -> None:
    assistant = await assistant_of(project, model.script(Say("One two three four five.")))

    events = await stream(project, "/threads/runs", {"assistant_id": assistant})

    numbered = [tuple(int(part) for part in event.id.split("-")) for event in events]
    assert numbered == sorted(set(numbered))


async def test_a_call_streams_in_two_halves(project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("weather", {"city": "Bergen"})], pieces=3), Say("Rain."))
    assistant = await assistant_of(project, name, tools=[WEATHER])

    first = await stream(project, "/threads/runs", {"assistant_id": assistant})
    run = first[-2].data
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    second = await stream(
        project,
        f"/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs",
        {"tool_outputs": [{"tool_call_id": call["id"], "output": "wet"}]},
    )

    assert names(first)[4:] == [
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.run.step.delta",
        "thread.run.requires_action",
        "done",
    ]
    begun = next(event.data for event in first if event.name == "thread.run.step.created")
    assert begun["step_details"] == {"type": "tool_calls", "tool_calls": []}
    assert begun["expires_at"] == run["expires_at"] > begun["created_at"]
    deltas = [e.data["delta"]["step_details"]["tool_calls"][0] for e in first if e.name == "thread.run.step.delta"]
    assert sum("id" in delta for delta in deltas) == 1
    assert "".join(delta["function"]["arguments"] for delta in deltas) == call["function"]["arguments"]
    assert names(second) == [
        "thread.run.step.completed",
        "thread.run.queued",
        "thread.run.in_progress",
        *MESSAGE,
        "thread.run.completed",
        "done",
    ]
    finished = second[0].data
    assert finished["step_details"]["tool_calls"][0]["function"]["output"] == "wet"
    assert finished["usage"]["total_tokens"] > 0
    assert finished["expires_at"] is None
    assert finished["id"] == begun["id"]


async def test_a_failed_run_ends_its_stream(project: Project, model: ScriptedModel) -> None:
    assistant = await assistant_of(project, model.script(Fail(400, "no")))

    events = await stream(project, "/threads/runs", {"assistant_id": assistant})

    assert names(events)[-2:] == ["thread.run.failed", "done"]
    assert events[-2].data["last_error"]["code"] == "invalid_prompt"


async def test_a_cancelled_run_ends_its_stream(project: Project, model: ScriptedModel) -> None:
    hold = Gate()
    assistant = await assistant_of(project, model.script(Say(["One ", hold, "two"])))
    seen: list[Event] = []
    async with (
        http.session(project) as client,
        client.stream("POST", "/threads/runs", json={"assistant_id": assistant, "stream": True}) as response,
    ):
        async for event in http.events(response):
            seen.append(event)
            if event.name == "thread.message.delta":
                run = seen[1].data
                await project.client.beta.threads.runs.cancel(run["id"], thread_id=run["thread_id"])

    assert names(seen)[-5:] == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
        "done",
    ]


async def test_a_deleted_thread_ends_the_streams_on_it(project: Project, model: ScriptedModel) -> None:
    hold = Gate()
    assistant = await assistant_of(project, model.script(Say(["One ", hold, "two"])))
    seen: list[Event] = []
    async with (
        http.session(project) as client,
        client.stream("POST", "/threads/runs", json={"assistant_id": assistant, "stream": True}) as response,
    ):
        async for event in http.events(response):
            seen.append(event)
            if event.name == "thread.message.delta":
                await project.client.beta.threads.delete(seen[0].data["id"])

    assert [event.name for event in seen[-2:]] == ["error", "done"]
    problem = seen[-2].data
    assert problem["message"] == problem["error"]["message"] == "The run was deleted."
    assert {"message", "type", "param", "code"} <= set(problem) & set(problem["error"]) | {"error"}


async def test_a_client_that_leaves_does_not_stop_its_run(project: Project, model: ScriptedModel) -> None:
    hold = Gate()
    assistant = await assistant_of(project, model.script(Say(["One ", hold, "two"])))
    async with (
        http.session(project) as client,
        client.stream("POST", "/threads/runs", json={"assistant_id": assistant, "stream": True}) as response,
    ):
        events = http.events(response)
        run = (await anext(e async for e in events if e.name == "thread.run.created")).data
        await hold.reached()

    hold.open()

    ended = await project.client.beta.threads.runs.poll(run["id"], thread_id=run["thread_id"], poll_interval_ms=20)
    assert ended.status == "completed"


async def test_streamed_snapshots_equal_what_is_stored(project: Project, model: ScriptedModel) -> None:
    assistant = await assistant_of(project, model.script(Say("Good day to you.")))
    async with project.client.beta.threads.create_and_run_stream(assistant_id=assistant) as handler:
        await handler.until_done()
        (message,) = await handler.get_final_messages()
        (step,) = await handler.get_final_run_steps()
        run = await handler.get_final_run()

    threads = project.client.beta.threads
    assert await threads.messages.retrieve(message.id, thread_id=message.thread_id) == message
    assert await threads.runs.retrieve(run.id, thread_id=run.thread_id) == run
    stored = await threads.runs.steps.retrieve(step.id, thread_id=run.thread_id, run_id=run.id)
    assert stored.step_details == step.step_details  # the client's own snapshot of a step ends with its last delta


@pytest.mark.parametrize("path", ["/threads/runs", "/threads/{thread}/runs"])
async def test_a_stream_that_cannot_begin_is_a_plain_error(project: Project, path: str) -> None:
    thread = await project.client.beta.threads.create()
    async with http.session(project) as client:
        answer = await client.post(path.format(thread=thread.id), json={"assistant_id": "asst_none", "stream": True})

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "No assistant found with id 'asst_none'."


async def test_v1_is_spoken_in_streams_too(project: Project, model: ScriptedModel, system: System) -> None:
    del system
    assistant = await assistant_of(project, model.script(Say("Hello.")))
    async with (
        http.session(project, openai_beta="assistants=v1") as client,
        client.stream("POST", "/threads/runs", json={"assistant_id": assistant, "stream": True}) as response,
    ):
        seen = [event async for event in http.events(response)]

    completed = {event.name: event.data for event in seen}
    assert completed["thread.run.completed"]["file_ids"] == []
    assert completed["thread.message.completed"]["file_ids"] == []


async def test_what_is_said_before_calls_ends_before_them(project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("weather", {})], text="Let me look."), Say("Rain."))
    assistant = await assistant_of(project, name, tools=[WEATHER])

    events = await stream(project, "/threads/runs", {"assistant_id": assistant})

    assert names(events)[4:] == [
        *MESSAGE,
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.run.step.delta",
        "thread.run.requires_action",
        "done",
    ]


async def test_interleaved_calls_are_told_one_after_the_other(project: Project, model: ScriptedModel) -> None:
    name = model.script(
        CallFunctions([("weather", {"city": "Bergen"}), ("weather", {"city": "Oslo"})], interleaved=True), Say("Rain.")
    )
    assistant = await assistant_of(project, name, tools=[WEATHER])

    events = await stream(project, "/threads/runs", {"assistant_id": assistant})

    deltas = [e.data["delta"]["step_details"]["tool_calls"][0] for e in events if e.name == "thread.run.step.delta"]
    places = [delta["index"] for delta in deltas]
    assert places == sorted(places)
    asked = events[-2].data["required_action"]["submit_tool_outputs"]["tool_calls"]
    for place, call in enumerate(asked):
        pieces = [delta["function"]["arguments"] for delta in deltas if delta["index"] == place]
        assert "".join(pieces) == call["function"]["arguments"]
