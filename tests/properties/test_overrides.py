"""What a run is told, and what it takes from its assistant: 0, "", [], null and nothing at all are five things."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import http
from tests.properties.conftest import chosen
from tests.scripted_model import Say, ScriptedModel
from tests.system import Project, System

ABSENT: Any = object()
FUNCTION: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OTHER: Any = {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}}

# What a run may say of each field. The first two leave it to the assistant.
SAID: dict[str, list[Any]] = {
    "instructions": [ABSENT, None, "", "Be kind."],
    "additional_instructions": [ABSENT, None, "", "In rhyme."],
    "tools": [ABSENT, None, [], [OTHER]],
    "temperature": [ABSENT, None, 0, 1.5],
    "top_p": [ABSENT, None, 0, 0.25],
    "reasoning_effort": [ABSENT, None, "none", "high"],
    "response_format": [ABSENT, None, "auto", {"type": "text"}],
    "metadata": [ABSENT, None, {}, {"c": "d"}],
    "parallel_tool_calls": [ABSENT, None, False, True],
    "tool_choice": [ABSENT, None, "none", "required"],
}
# What an assistant may have of it.
HAS: dict[str, list[Any]] = {
    "instructions": [None, "", "Be brief."],
    "tools": [[], [FUNCTION]],
    "temperature": [None, 0, 0.5],
    "top_p": [None, 0, 0.75],
    "reasoning_effort": [None, "low"],
    "response_format": [None, {"type": "json_object"}],
    "metadata": [{}, {"a": "b"}],
}


def choices(of: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.sampled_from(values) for name, values in of.items()})


@pytest.fixture(scope="module")
async def client(system: System) -> AsyncIterator[httpx2.AsyncClient]:
    async with Project.of(system) as project, http.session(project) as session:
        yield session


@chosen()
@given(has=choices(HAS), said=choices(SAID))
async def test_overriding(
    client: httpx2.AsyncClient, model: ScriptedModel, has: dict[str, Any], said: dict[str, Any]
) -> None:
    name = model.script(Say("Done."))
    told = {field: value for field, value in said.items() if value is not ABSENT}
    assistant = (await client.post("/assistants", json={"model": name, **has})).json()
    thread = (await client.post("/threads")).json()["id"]

    made = await client.post(f"/threads/{thread}/runs", json={"assistant_id": assistant["id"], **told})

    run = made.json()
    expected = {field: told[field] if told.get(field) is not None else has[field] for field in HAS}
    if told.get("tool_choice") == "required" and not expected["tools"]:
        assert (made.status_code, run["error"]["param"]) == (400, "tool_choice")
        return
    assert shown(run) == shown_of(expected, told)
    await until_over(client, f"/threads/{thread}/runs/{run['id']}")
    asked = (await model.requested(name)).body
    check_request(asked, expected, shown(run))


def shown(run: dict[str, Any]) -> dict[str, Any]:
    return {field: run[field] for field in SAID if field != "additional_instructions"}


def shown_of(expected: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """How a run with these values is shown: metadata are its own, what nobody said has the original's defaults."""
    instructions = [text for text in (expected["instructions"], told.get("additional_instructions")) if text]
    defaults = {"temperature": 1.0, "top_p": 1.0, "response_format": "auto"}
    return {
        **expected,
        **{field: value for field, value in defaults.items() if expected[field] is None},
        "instructions": "\n".join(instructions),
        "metadata": told.get("metadata") or {},
        "parallel_tool_calls": told.get("parallel_tool_calls") is not False,
        "tool_choice": told.get("tool_choice") or "auto",
    }


def check_request(asked: dict[str, Any], expected: dict[str, Any], run: dict[str, Any]) -> None:
    """The model is told the same; of what nobody said it is told nothing."""
    for field in ("temperature", "top_p", "reasoning_effort"):
        assert asked.get(field) == expected[field]
    assert asked.get("tools", []) == expected["tools"]
    plain = run["response_format"] in ("auto", {"type": "text"})  # which is what a model does anyway
    assert asked.get("response_format") == (None if plain else run["response_format"])
    system = [message["content"] for message in asked["messages"] if message["role"] == "system"]
    assert system == ([run["instructions"]] if run["instructions"] else [])


async def until_over(client: httpx2.AsyncClient, path: str) -> None:
    while (await client.get(path)).json()["status"] in {"queued", "in_progress"}:
        pass
