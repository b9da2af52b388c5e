"""Clients that nobody here wrote, each through a conversation with a function call."""

from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from tests.conformance.clients import LANGCHAIN, LLAMA_INDEX, NODE, NODE_V1, SEMANTIC_KERNEL, Client
from tests.conformance.conftest import Programs
from tests.scripted_model import CallFunctions, Say, ScriptedModel

For = Callable[[Client], Programs]

CALL = CallFunctions([("get_weather", {"city": "Oslo"})])
QUESTION = "How is the weather in Oslo?"


def told(model: ScriptedModel, name: str, request: int) -> list[tuple[str, Any]]:
    """Who said what, in that request to the model."""
    return [(message["role"], message.get("content")) for message in model.requests(name)[request].messages]


async def test_the_first_client_of_npm(programs_for: For, model: ScriptedModel) -> None:
    name = model.script(CALL, Say("Rain."))

    facts = await programs_for(NODE_V1).run("conversation", name)

    assert facts["assistant"]["file_ids"] == []
    assert facts["assistant"]["tools"][0] == {"type": "retrieval"}
    assert facts["listed"] == [facts["assistant"]["id"]]
    assert facts["calls"] == [["get_weather", {"city": "Oslo"}]]
    assert facts["status"] == "completed"
    assert facts["said"] == ["Rain.", QUESTION]
    assert facts["missing"] == ["NotFoundError", 404, "404 No thread found with id 'thread_none'."]
    assert told(model, name, 1)[-1] == ("tool", "rain")


async def test_the_newest_client_of_npm(programs_for: For, model: ScriptedModel) -> None:
    name = model.script(CALL, Say("Rain."), CALL, Say("Rain again."))

    facts = await programs_for(NODE).run("node/conversation", name)

    assert facts["polled"] == {
        "waiting": "requires_action",
        "done": "completed",
        "messages": ["Rain.", QUESTION],
        "steps": ["message_creation", "tool_calls"],
    }
    streamed = facts["streamed"]
    assert (streamed["waiting"], streamed["done"]) == ("requires_action", "completed")
    assert streamed["text"] == streamed["final"] == "Rain again."
    events = [event for event, _ in groupby(streamed["events"])]
    assert events[0] == "thread.run.created"
    assert events[-2:] == ["thread.run.step.completed", "thread.run.completed"]
    assert facts["missing"] == ["NotFoundError", 404, None, "404 No thread found with id 'thread_none'."]
    assert facts["undefined"][:3] == ["BadRequestError", 400, "thread_id"]
    assert facts["hot"][:3] == ["BadRequestError", 400, "temperature"]


@pytest.mark.parametrize(
    ("client", "program"),
    [(LANGCHAIN, "langchain"), (LLAMA_INDEX, "llama_index"), (SEMANTIC_KERNEL, "semantic_kernel")],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_frameworks(programs_for: For, model: ScriptedModel, client: Client, program: str) -> None:
    name = model.script(CALL, Say("Rain."), Say("You are welcome."))

    facts = await programs_for(client).run(f"frameworks/{program}", name)

    assert facts["seen"] == ["Oslo"]
    assert facts["said"] == ["Rain.", "You are welcome."]
    first, second, third = (told(model, name, request) for request in range(3))
    assert first == [("system", "Be brief."), ("user", QUESTION)]
    assert second[-1] == ("tool", "rain")
    assert third[:2] == first
    assert len(third) > len(second)
