"""Streams, followed with each SDK's handlers: what they put together is what the API says afterwards."""

from itertools import groupby
from typing import Any

import pytest

from tests.conformance.clients import V2
from tests.conformance.conftest import Programs
from tests.scripted_model import CallFunctions, Say, ScriptedModel

BEGUN = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
SAID = [
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
    "thread.message.completed",
    "thread.run.step.completed",
    "thread.run.completed",
]
RESUMED = ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress"]


async def test_a_streaming_program(programs: Programs, model: ScriptedModel) -> None:
    name = model.script(*[Say("I am fine.")] * 4)

    facts = await programs.run("streaming", name)

    assert once(facts["events"]) == BEGUN + SAID
    check_what_was_told_of_text(facts["told"], "I am fine.")
    assert facts["followed"]["final"] == facts["followed"]["retrieved"]
    assert facts["followed"]["final"]["run"]["status"] == "completed"
    assert [len(facts["followed"]["final"][kind]) for kind in ("steps", "messages")] == [1, 1]
    assert "".join(facts["deltas"]) == "I am fine."
    assert facts["at_once"]["final"] == facts["at_once"]["retrieved"]
    assert once(facts["names"]) == ["thread.created", *BEGUN, *SAID]
    assert once([event for event, _ in facts["raw"]]) == BEGUN + SAID
    assert [what for event, what in facts["raw"] if what != object_of(event)] == []


async def test_a_program_with_streamed_functions(programs: Programs, model: ScriptedModel) -> None:
    name = model.script(
        CallFunctions([("get_weather", {"city": "Oslo"})]),
        CallFunctions([("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Bonn"})]),
        Say("Rain. Sun. Snow."),
    )

    facts = await programs.run("streamed_functions", name)

    single, parallel, end = facts["rounds"]
    for begun, functions in ((single, 1), (parallel, 2)):
        assert len(begun["required"]) == functions
        assert without_indexes(begun["snapshot"]) == begun["retrieved"]
        assert begun["events"][-1] == "thread.run.requires_action"
        check_what_the_handler_was_told(begun)
    assert parallel["events"][:3] == RESUMED
    assert once(end["events"]) == RESUMED + SAID
    assert end["text"] == ["Rain. Sun. Snow."]
    assert end["run"] == facts["run"]
    assert end["steps"] == facts["steps"][1:]  # that of the calls is done when their outputs are there
    assert end["messages"] == facts["messages"]
    assert [outputs(step) for step in facts["steps"][:2]] == [["output 0"], ["output 0", "output 1"]]


@pytest.mark.parametrize("programs", V2[-1:], ids=lambda client: client.name, indirect=True)
async def test_a_program_with_streamed_functions_after_a_text(programs: Programs, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("get_weather", {"city": "Oslo"})], text="Let me see."), Say("Rain."))

    facts = await programs.run("streamed_functions", name)

    begun, _ = facts["rounds"]
    assert begun["text"] == ["Let me see."]
    assert without_indexes(begun["snapshot"]) == begun["retrieved"]
    check_what_the_handler_was_told(begun)
    assert [step["type"] for step in facts["steps"]] == ["message_creation", "tool_calls", "message_creation"]


def once(events: list[str]) -> list[str]:
    """The events, a row of deltas counted as one: how a text is cut is the server's to choose."""
    return [event for event, _ in groupby(events)]


def object_of(event: str) -> str:
    """What an event carries: itself if it is a delta, else what its name begins with."""
    return event if event.endswith(".delta") else event.rpartition(".")[0]


def check_what_was_told_of_text(told: list[Any], text: str) -> None:
    """Of a message: that it began empty, its text growing to the whole, that it is done."""
    assert told[:2] == [
        ["run_step_created", "message_creation", "in_progress"],
        ["message_created", "in_progress", 0],
    ]
    assert told[-4:] == [
        ["text_done", text],
        ["message_done", "completed", 1],
        ["run_step_done", "message_creation", "completed"],
        ["end"],
    ]
    created, *deltas = told[2:-4]
    assert created[0] == "text_created"
    assert [what for what, *_ in deltas] == ["text_delta"] * len(deltas)
    grown = ["", *(whole for _, _, whole in deltas)]
    assert [before + added for before, (_, added, _) in zip(grown, deltas, strict=False)] == grown[1:]
    assert grown[-1] == text


def check_what_the_handler_was_told(begun: Any) -> None:
    """Of each call: that it began, its arguments growing to the whole, that it is done."""
    for call_id, function, arguments in begun["required"]:
        created, *between, done = [(what, *rest) for what, about, *rest in begun["told"] if about == call_id]
        assert created == ("created", function)
        assert done == ("done", arguments)
        assert {what for what, *_ in between} == {"delta"}
        deltas = [rest for _, *rest in between]
        assert "".join(added for added, _ in deltas) == arguments
        assert [whole for _, whole in deltas][-1] == arguments


def without_indexes(step: Any) -> Any:
    """A step put together from deltas still has what these count calls with."""
    calls = [{key: call[key] for key in call if key != "index"} for call in step["step_details"]["tool_calls"]]
    return step | {"step_details": step["step_details"] | {"tool_calls": calls}}


def outputs(step: Any) -> list[str]:
    return [call["function"]["output"] for call in step["step_details"]["tool_calls"]]
