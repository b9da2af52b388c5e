"""The translation that makes the toy model call tools."""

import json
from typing import Any

import pytest

from infra.embedded import toy

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "pattern": "^[A-Z]"},
                "days": {"type": "array", "items": {"type": "string"}},
            },
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], **fields}


def schema(**fields: Any) -> dict[str, Any]:
    return toy.to_native(request(**fields))["response_format"]["json_schema"]["schema"]


def answer(content: str, finish_reason: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "created": 1, "model": toy.NAME, "choices": [choice], "usage": {"total_tokens": 3}}


def test_a_plain_request_is_passed_on_within_limits() -> None:
    native = toy.to_native(request(max_tokens=100_000, temperature=1, stream=True, user="u", top_p=0.5))
    assert native["max_tokens"] == toy.MAX_TOKENS
    assert native["temperature"] == toy.MAX_TEMPERATURE
    assert native["stream"] is True
    assert native["top_p"] == 0.5
    assert "user" not in native
    assert toy.to_native(request(max_completion_tokens=7, temperature=0))["temperature"] == 0
    assert toy.to_native(request(max_completion_tokens=7))["max_tokens"] == 7


def test_with_a_choice_the_model_may_reply_or_call() -> None:
    ways = schema(tools=[WEATHER, TIME])["anyOf"]
    assert [list(way["properties"]) for way in ways] == [["name", "arguments"], ["name", "arguments"], ["reply"]]
    assert not toy.to_native(request(tools=[TIME], stream=True)).get("stream")


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", ["get_weather", "get_time"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ],
)
def test_a_forced_call_leaves_no_other_way(choice: Any, names: list[str]) -> None:
    forced = schema(tools=[WEATHER, TIME], tool_choice=choice)
    assert [way["properties"]["name"]["const"] for way in forced.get("anyOf", [forced])] == names


def test_arguments_have_an_end() -> None:
    arguments = schema(tools=[WEATHER], tool_choice="required")["properties"]["arguments"]
    assert arguments["properties"]["city"] == {"type": "string", "maxLength": toy.MAX_STRING}
    assert arguments["properties"]["days"]["maxItems"] == toy.MAX_ITEMS
    assert arguments["additionalProperties"] is False
    anything = schema(tools=[TIME], tool_choice="required")["properties"]["arguments"]
    assert anything == {"type": "object", "properties": {}, "additionalProperties": False}


@pytest.mark.parametrize("last", [{"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"}])
def test_after_a_tools_answer_the_model_speaks(last: dict[str, Any]) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "assistant", "tool_calls": [call]},
        last,
    ]
    native = toy.to_native({"messages": messages, "tools": [WEATHER]})
    assert "response_format" not in native
    assert [message["role"] for message in native["messages"]] == ["system", "assistant", "user"]
    assert "get_weather" in native["messages"][1]["content"]
    assert "18 degrees" in native["messages"][2]["content"]


def test_the_json_becomes_a_call() -> None:
    said = toy.from_native(answer('{"name": "get_weather", "arguments": {"city": "Paris"}}'))
    choice = said["choices"][0]
    call = choice["message"]["tool_calls"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    delta, end, usage = toy.to_chunks(said, include_usage=True)
    assert delta["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **call}]
    assert end["choices"][0]["finish_reason"] == "tool_calls"
    assert usage["usage"] == {"total_tokens": 3}


def test_the_json_becomes_a_reply() -> None:
    choice = toy.from_native(answer('{"reply": "Hello."}'))["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hello."}
    assert choice["finish_reason"] == "stop"


def test_json_that_was_cut_off_stays_text() -> None:
    choice = toy.from_native(answer('{"name": "get_w', "length"))["choices"][0]
    assert choice["message"]["content"] == '{"name": "get_w'
    assert choice["finish_reason"] == "length"
