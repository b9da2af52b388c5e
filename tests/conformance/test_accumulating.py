"""What each SDK's own handler puts together of a stream is what is stored, whatever the end of the run."""

import asyncio
import json
from typing import Any

from openai import AsyncOpenAI

from tests.api.test_runs import WEATHER
from tests.conformance.conftest import WITHIN, Programs
from tests.scripted_model import Break, CallFunctions, Gate, Say, ScriptedModel, Turn
from tests.tools.test_file_search import SEARCH, searches
from tests.vector_stores import store_of

IGNORANT = "openai-1.30.5"  # doesn't know that a run can be incomplete, and goes on believing that it is in progress
ENDS = {
    "says": "completed",
    "calls": "requires_action",
    "searches": "completed",
    "breaks off": "failed",
    "is stopped": "cancelled",
    "is cut": "incomplete",
    "is late": "expired",
}


async def test_snapshots_are_what_is_stored(programs: Programs, model: ScriptedModel) -> None:
    client, halfway, never = programs.project.client, Gate(), Gate()
    store, _ = await store_of(client, tower="The tower is tall.", bridge="The bridge is long, and so is the tower.")
    search: Any = {"tools": [SEARCH], "tool_resources": {"file_search": {"vector_store_ids": [store]}}}
    calls = CallFunctions([("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Bonn"})], text="I look.")
    scenes = {
        "says": await scene(client, model, Say("I am fine.")),
        "calls": await scene(client, model, calls, tools=[WEATHER]),
        "searches": await scene(
            client, model, searches("tower"), Say("It is tall【1:0†source】, and long【1:1†source】."), **search
        ),
        "breaks off": await scene(client, model, Break(Say("I am not so fine."), after=3)),
        "is stopped": await scene(client, model, Say(["I am ", halfway, "fine."])),
        "is cut": await scene(client, model, Say("I am and", finish="length")),
        "is late": await scene(client, model, Say(["I am ", never, "fine."]), expires_after=1),
    }

    telling = asyncio.create_task(programs.run("accumulating", json.dumps(list(scenes.values()))))
    await halfway.reached(WITHIN)
    (run,) = (await client.beta.threads.runs.list(scenes["is stopped"]["thread"])).data
    await client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    told = dict(zip(scenes, await telling, strict=True))
    never.open()

    for name, facts in told.items():
        check(facts, ENDS[name], knows_incomplete=programs.client.name != IGNORANT)
    (results,) = [call["file_search"]["results"] for call in told["searches"]["steps"][0]["step_details"]["tool_calls"]]
    assert len(results) == 2
    assert len(told["searches"]["messages"][0]["content"][0]["text"]["annotations"]) == 2
    assert [told[name]["messages"][0]["status"] for name in ("breaks off", "is stopped", "is cut", "is late")] == [
        "incomplete"
    ] * 4


async def scene(
    client: AsyncOpenAI, model: ScriptedModel, *turns: Turn, expires_after: int | None = None, **assistant: Any
) -> dict[str, Any]:
    """A run that the program is to follow, of an assistant whose model does this."""
    made = await client.beta.assistants.create(model=model.script(*turns), **assistant)
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": "How are you?"}])
    more = {} if expires_after is None else {"extra_body": {"assistantd": {"expires_after": expires_after}}}
    return {"assistant": made.id, "thread": thread.id, "options": more}


def check(facts: Any, status: str, *, knows_incomplete: bool = True) -> None:
    """Messages, steps and run are the stored ones; a step's snapshot has its details, for handlers leave the rest."""
    stored = facts["stored"]
    assert stored["run"]["status"] == status, stored["run"]["last_error"]
    if status != "incomplete" or knows_incomplete:
        assert facts["run"] == stored["run"]
    assert facts["messages"] == stored["messages"]
    done = [step for step in stored["steps"] if step["status"] != "in_progress"]
    assert facts["done"] == done
    assert [step["id"] for step in facts["steps"]] == [step["id"] for step in stored["steps"]]
    assert [without_places(step["step_details"]) for step in facts["steps"]] == [
        step["step_details"] for step in stored["steps"]
    ]


def without_places(told: Any) -> Any:
    """What was put together from deltas still has the numbers that they are put together by."""
    match told:
        case dict():
            return {name: without_places(value) for name, value in told.items() if name != "index"}
        case list():
            return [without_places(one) for one in told]
        case _:
            return told
