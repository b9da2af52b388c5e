"""The tests' model keeps its promises, seen through the official client."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.scripted_model import (
    Break,
    CallFunctions,
    Empty,
    Fail,
    Garbage,
    Gate,
    Hang,
    Say,
    ScriptedModel,
    StreamError,
)

FORECAST = ("weather", {"city": "Bergen", "days": 3})
TIME = ("time", {"zone": "Europe/Oslo"})


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedModel]:
    model = ScriptedModel()
    await model.start()
    yield model
    await model.stop()


@pytest.fixture
async def client(scripted: ScriptedModel) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=scripted.base_url, api_key="none", max_retries=0) as client:
        yield client


async def ask(client: AsyncOpenAI, model: str, content: str = "one two three") -> ChatCompletion:
    return await client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])


async def stream(client: AsyncOpenAI, model: str, content: str = "one two three") -> AsyncIterator[ChatCompletionChunk]:
    chunks = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": content}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async with chunks:
        async for chunk in chunks:
            yield chunk


async def read(client: AsyncOpenAI, model: str, into: list[str]) -> None:
    async for chunk in stream(client, model):
        into.extend(choice.delta.content or "" for choice in chunk.choices)


async def content_of(client: AsyncOpenAI, model: str) -> list[str]:
    seen: list[str] = []
    await read(client, model, seen)
    return seen


async def test_a_model_without_a_script_echoes(client: AsyncOpenAI) -> None:
    answer = await ask(client, "whatever", "hello  there")
    assert answer.choices[0].message.content == "You said: hello  there"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (2, 4, 6)


async def test_text_is_streamed_word_by_word_with_usage_last(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    name = scripted.script(Say("It rains in Bergen.", finish="length"))
    chunks = [chunk async for chunk in stream(client, name)]
    assert [c.choices[0].delta.content for c in chunks[:-1]] == ["", "It ", "rains ", "in ", "Bergen.", None]
    assert chunks[-2].choices[0].finish_reason == "length"
    assert [c.usage is None for c in chunks] == [True] * 6 + [False]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 3 + 4


async def test_a_server_may_keep_usage_to_itself(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    name = scripted.script(Say("a", usage=False), Say("a", usage=False))
    assert all(chunk.usage is None for chunk in [chunk async for chunk in stream(client, name)])
    assert (await ask(client, name)).usage is None


@pytest.mark.parametrize("interleaved", [False, True])
async def test_calls_are_streamed_in_parts(client: AsyncOpenAI, scripted: ScriptedModel, *, interleaved: bool) -> None:
    name = scripted.script(CallFunctions([FORECAST, TIME], text="Let me look.", interleaved=interleaved))
    arguments: dict[int, str] = {0: "", 1: ""}
    ids: dict[int, str] = {}
    order: list[int] = []
    async for chunk in stream(client, name):
        for call in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            order.append(call.index)
            ids.setdefault(call.index, call.id or "missing")
            assert call.function is not None
            arguments[call.index] += call.function.arguments or ""
    assert {index: json.loads(text) for index, text in arguments.items()} == {0: FORECAST[1], 1: TIME[1]}
    assert ids[0].startswith("call_")
    assert ids[0] != ids[1]
    assert order == ([0, 1] * 4 if interleaved else [0] * 4 + [1] * 4)


async def test_calls_in_a_whole_answer(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    name = scripted.script(CallFunctions([FORECAST, ("broken", '{"a": ')]))
    choice = (await ask(client, name)).choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = [call for call in choice.message.tool_calls or [] if call.type == "function"]
    assert [call.function.name for call in calls] == ["weather", "broken"]
    assert json.loads(calls[0].function.arguments) == FORECAST[1]
    assert calls[1].function.arguments == '{"a": '


async def test_a_server_may_leave_out_ids_and_indexes(scripted: ScriptedModel) -> None:
    name = scripted.script(CallFunctions([FORECAST], ids=False, indexes=False))
    events = await raw_events(scripted, name)
    parts = [part for e in events if e["choices"] for part in e["choices"][0]["delta"].get("tool_calls", [])]
    assert len(parts) == 4
    assert not any("id" in part or "index" in part for part in parts)


async def test_a_gate_holds_the_rest_until_the_test_opens_it(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    gate = Gate()
    name = scripted.script(Say(["before ", gate, "after"]))
    seen: list[str] = []

    reading = asyncio.create_task(read(client, name, seen))
    await gate.reached()
    assert "after" not in seen
    assert scripted.requests(name)[0].answered_at is None
    gate.open()
    await reading
    assert "".join(seen) == "before after"
    await scripted.answered(name)


async def test_an_answer_may_be_held_before_its_status_line(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    gate = Gate()
    name = scripted.script(Fail(503, before=gate), Say("late", before=timedelta(milliseconds=1)))
    failing = asyncio.create_task(ask(client, name))
    await gate.reached()
    assert not failing.done()
    gate.open()
    with pytest.raises(openai.InternalServerError):
        await failing
    assert (await ask(client, name)).choices[0].message.content == "late"


async def test_failures_carry_their_headers(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    name = scripted.script(Fail(429, "slow down", code="rate_limit_exceeded", headers={"Retry-After": "7"}))
    with pytest.raises(openai.RateLimitError, match="slow down") as failure:
        await ask(client, name)
    assert failure.value.code == "rate_limit_exceeded"
    assert failure.value.response.headers["retry-after"] == "7"


async def test_a_broken_stream_ends_without_its_end(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    name = scripted.script(Break(Say("a b c d"), after=2), Break(Say("a b c d"), after=2))
    seen: list[str] = []
    with pytest.raises(openai.APIConnectionError):
        await read(client, name, seen)
    assert seen == ["", "a ", "b "]
    with pytest.raises(openai.APIConnectionError):
        await ask(client, name)
    assert [request.disconnected_at for request in scripted.requests(name)] == [None, None]


async def test_an_error_in_mid_stream(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    name = scripted.script(StreamError(Say("a b"), 1, "out of memory"), StreamError(Say("a b"), 1))
    with pytest.raises(openai.APIError, match="out of memory"):
        await content_of(client, name)
    with pytest.raises(openai.InternalServerError):
        await ask(client, name)


async def test_garbage_and_emptiness(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    name = scripted.script(Garbage(), Garbage(b"<html>", "text/html"), Empty(), Empty())
    with pytest.raises(json.JSONDecodeError):
        await content_of(client, name)
    assert await content_of(client, name) == []
    assert (await ask(client, name)).choices == []
    assert await content_of(client, name) == []


async def test_a_client_that_leaves_is_noticed_at_once(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    gate = Gate()
    name = scripted.script(Hang(), Say(["a", gate]))
    for n in (1, 2):
        asking = asyncio.create_task(content_of(client, name))
        await (scripted.requested(name, n) if n == 1 else gate.reached())
        asking.cancel()
        left = await scripted.disconnected(name, n, within=timedelta(seconds=1))
        assert left.answered_at is None
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_an_exhausted_script_fails_loudly(scripted: ScriptedModel) -> None:
    name = scripted.script(Say("only once"))
    async with AsyncOpenAI(base_url=scripted.base_url, api_key="none", max_retries=5) as client:
        await ask(client, name)
        with pytest.raises(openai.InternalServerError, match=f"{name}.*exhausted.*request 2"):
            await ask(client, name)
    assert len(scripted.requests(name)) == 2
    assert len(scripted.surprises) == 1


async def test_scripts_of_different_names_do_not_meet(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    names = [scripted.script(Say(f"{n} one"), Say(f"{n} two")) for n in range(20)]
    for turn in ("one", "two"):
        answers = await asyncio.gather(*(ask(client, name, f"to {name}") for name in names))
        assert [answer.choices[0].message.content for answer in answers] == [f"{n} {turn}" for n in range(20)]
    assert all(scripted.remaining(name) == 0 for name in names)
    assert all(len(scripted.requests(name)) == 2 for name in names)
    assert {model.id async for model in client.models.list()} == set(names)


async def test_requests_are_recorded_as_they_came(client: AsyncOpenAI, scripted: ScriptedModel) -> None:
    name = scripted.script(Say("noted"))
    await ask(client, name, "remember this")
    request = await scripted.answered(name)
    assert request.messages == [{"role": "user", "content": "remember this"}]
    assert request.headers["Authorization"] == "Bearer none"
    assert request.answered_at is not None
    assert request.received_at <= request.answered_at


async def test_waiting_in_vain_names_what_was_awaited(scripted: ScriptedModel) -> None:
    with pytest.raises(AssertionError, match="'nobody' asked 1 times"):
        await scripted.requested("nobody", within=timedelta(milliseconds=10))


async def test_a_body_that_is_no_request_is_refused(scripted: ScriptedModel) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{scripted.base_url}/chat/completions", data=b"{}") as response,
    ):
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_stopping_lets_go_of_held_answers(client: AsyncOpenAI) -> None:
    model = ScriptedModel()
    await model.start()
    name = model.script(Hang())
    asking = asyncio.create_task(ask(client.with_options(base_url=model.base_url), name))
    await model.requested(name)
    await model.stop()
    with pytest.raises(openai.APIConnectionError):
        await asking


async def raw_events(scripted: ScriptedModel, name: str) -> list[Any]:
    body = {"model": name, "messages": [], "stream": True}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{scripted.base_url}/chat/completions", json=body) as response,
    ):
        lines = [line.removeprefix(b"data: ") async for line in response.content if line.startswith(b"data: ")]
    assert lines[-1].strip() == b"[DONE]"
    return [json.loads(line) for line in lines[:-1]]
