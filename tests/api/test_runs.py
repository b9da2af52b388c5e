"""Runs from end to end: the official client, an API process, a worker process, Postgres, Redis, a scripted model."""

import json
from datetime import timedelta
from typing import Any

import pytest
from openai import BadRequestError
from openai.types.beta import Assistant, Thread
from openai.types.beta.threads import Run

from tests.scripted_model import Break, CallFunctions, Fail, Gate, Say, ScriptedModel, StreamError
from tests.system import Project

WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


async def begin(
    project: Project, model: str, *, question: str = "Hello?", **assistant: Any
) -> tuple[Assistant, Thread]:
    client = project.client
    made = await client.beta.assistants.create(model=model, **assistant)
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": question}])
    return made, thread


async def run_to_end(project: Project, assistant: Assistant, thread: Thread, **options: Any) -> Run:
    return await project.client.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=20, **options
    )


async def texts(project: Project, thread: Thread) -> list[tuple[str, str]]:
    found = await project.client.beta.threads.messages.list(thread.id, order="asc")
    return [(message.role, message.content[0].text.value) for message in found.data]  # type: ignore[union-attr]


async def test_a_run_answers_the_thread(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("Good day to you."))
    assistant, thread = await begin(project, name, instructions="Be polite.")

    run = await run_to_end(project, assistant, thread)

    assert run.status == "completed"
    assert run.usage is not None
    assert run.usage.total_tokens == run.usage.prompt_tokens + run.usage.completion_tokens > 0
    assert await texts(project, thread) == [("user", "Hello?"), ("assistant", "Good day to you.")]
    asked = (await model.requested(name)).messages
    assert asked == [{"role": "system", "content": "Be polite."}, {"role": "user", "content": "Hello?"}]
    steps = (await project.client.beta.threads.runs.steps.list(run.id, thread_id=thread.id)).data
    assert [(step.type, step.status) for step in steps] == [("message_creation", "completed")]
    assert steps[0].usage is not None
    assert steps[0].usage.total_tokens == run.usage.total_tokens


async def test_the_second_run_remembers_the_first(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("I am fine."), Say("I said so."))
    assistant, thread = await begin(project, name, question="How are you?")
    await run_to_end(project, assistant, thread)
    await project.client.beta.threads.messages.create(thread.id, role="user", content="Sure?")

    await run_to_end(project, assistant, thread)

    asked = (await model.requested(name, 2)).messages
    assert [message["content"] for message in asked] == ["How are you?", "I am fine.", "Sure?"]


async def test_functions_are_called_by_the_client(project: Project, model: ScriptedModel) -> None:
    name = model.script(
        CallFunctions([("weather", {"city": "Bergen"}), ("weather", {"city": "Oslo"})]), Say("Rain and sun.")
    )
    assistant, thread = await begin(project, name, tools=[WEATHER])

    run = await run_to_end(project, assistant, thread)

    assert run.status == "requires_action"
    assert run.required_action is not None
    (waiting,) = (await project.client.beta.threads.runs.steps.list(run.id, thread_id=thread.id)).data
    assert waiting.model_dump()["expires_at"] == run.expires_at
    calls = run.required_action.submit_tool_outputs.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Bergen"}, {"city": "Oslo"}]
    run = await project.client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": call.id, "output": f"weather of {call.function.arguments}"} for call in calls],
        poll_interval_ms=20,
    )
    assert run.status == "completed"
    *_, said, first, second = (await model.requested(name, 2)).messages
    assert [call["id"] for call in said["tool_calls"]] == [call.id for call in calls]
    assert [first["tool_call_id"], second["tool_call_id"]] == [call.id for call in calls]
    assert [first["content"], second["content"]] == [f"weather of {call.function.arguments}" for call in calls]
    steps = (await project.client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc")).data
    assert [(step.type, step.status) for step in steps] == [
        ("tool_calls", "completed"),
        ("message_creation", "completed"),
    ]
    assert [step.model_dump()["expires_at"] for step in steps] == [None, None]
    assert run.usage is not None
    assert sum(step.usage.total_tokens for step in steps if step.usage) == run.usage.total_tokens


async def test_earlier_tool_calls_are_part_of_later_runs(project: Project, model: ScriptedModel) -> None:
    name = model.script(
        CallFunctions([("weather", {"city": "Bergen"})], text="Let me look."), Say("Rain."), Say("Yes.")
    )
    assistant, thread = await begin(project, name, tools=[WEATHER])
    run = await run_to_end(project, assistant, thread)
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    await project.client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": call.id, "output": "wet"}],
        poll_interval_ms=20,
    )
    await project.client.beta.threads.messages.create(thread.id, role="user", content="Still?")

    await run_to_end(project, assistant, thread)

    roles = [(m["role"], m["content"]) for m in (await model.requested(name, 3)).messages]
    assert roles == [
        ("user", "Hello?"),
        ("assistant", "Let me look."),
        ("tool", "wet"),
        ("assistant", "Rain."),
        ("user", "Still?"),
    ]


async def test_a_forced_call_is_forced_once(project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("weather", {})]), Say("Done."))
    assistant, thread = await begin(project, name, tools=[WEATHER])
    run = await run_to_end(project, assistant, thread, tool_choice="required")
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls

    await project.client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": ""}], poll_interval_ms=20
    )

    assert [received.body["tool_choice"] for received in model.requests(name)] == ["required", "auto"]


@pytest.mark.parametrize("wrong", [[], ["call_nobody"], ["twice"]])
async def test_tool_outputs_have_to_match_the_calls(project: Project, model: ScriptedModel, wrong: list[str]) -> None:
    name = model.script(CallFunctions([("weather", {})]), Say("Done."))
    assistant, thread = await begin(project, name, tools=[WEATHER])
    run = await run_to_end(project, assistant, thread)
    outputs: Any = [{"tool_call_id": call_id, "output": "x"} for call_id in wrong]

    with pytest.raises(BadRequestError, match="Expected tool outputs for call_ids"):
        await project.client.beta.threads.runs.submit_tool_outputs(run.id, thread_id=thread.id, tool_outputs=outputs)

    again = await project.client.beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    assert again.status == "requires_action"


async def test_outputs_for_a_run_that_wants_none(project: Project, model: ScriptedModel) -> None:
    assistant, thread = await begin(project, model.script(Say("Done.")))
    run = await run_to_end(project, assistant, thread)

    with pytest.raises(BadRequestError, match='Runs in status "completed" do not accept tool outputs'):
        await project.client.beta.threads.runs.submit_tool_outputs(run.id, thread_id=thread.id, tool_outputs=[])


async def test_a_busy_thread_takes_neither_a_run_nor_a_message(project: Project, model: ScriptedModel) -> None:
    gate = Gate()
    assistant, thread = await begin(project, model.script(Say("Later.", before=gate)))
    client = project.client
    run = await client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)

    with pytest.raises(BadRequestError) as second:
        await client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    with pytest.raises(BadRequestError) as message:
        await client.beta.threads.messages.create(thread.id, role="user", content="And?")

    body: Any = second.value.body
    assert body["message"] == f"Thread {thread.id} already has an active run {run.id}."
    body = message.value.body
    assert body["message"] == f"Can't add messages to {thread.id} while a run {run.id} is active."
    assert set(body) == {"message", "type", "param", "code"}
    gate.open()
    run = await client.beta.threads.runs.poll(run.id, thread_id=thread.id, poll_interval_ms=20)
    assert run.status == "completed"
    assert len(await texts(project, thread)) == 2


async def test_a_cancel_stops_the_model_within_a_second(project: Project, model: ScriptedModel) -> None:
    hold = Gate()
    name = model.script(Say(["One ", "two ", hold, "three"]))
    assistant, thread = await begin(project, name)
    client = project.client
    run = await client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    await hold.reached()

    asked = await client.beta.threads.runs.cancel(run.id, thread_id=thread.id)
    await model.disconnected(name, within=timedelta(seconds=1))
    ended = await client.beta.threads.runs.poll(run.id, thread_id=thread.id, poll_interval_ms=20)

    assert asked.status in {"cancelling", "cancelled"}
    assert ended.status == "cancelled"
    assert ended.cancelled_at is not None
    said = (await client.beta.threads.messages.list(thread.id, run_id=run.id)).data
    assert [(message.status, message.content[0].text.value) for message in said] == [  # type: ignore[union-attr]
        ("incomplete", "One two ")
    ]
    with pytest.raises(BadRequestError, match="Cannot cancel run with status 'cancelled'"):
        await client.beta.threads.runs.cancel(run.id, thread_id=thread.id)


async def test_a_run_that_waits_is_cancelled_at_once(project: Project, model: ScriptedModel) -> None:
    assistant, thread = await begin(project, model.script(CallFunctions([("weather", {})])), tools=[WEATHER])
    run = await run_to_end(project, assistant, thread)

    cancelled = await project.client.beta.threads.runs.cancel(run.id, thread_id=thread.id)

    assert cancelled.status == "cancelled"
    assert cancelled.required_action is None
    (step,) = (await project.client.beta.threads.runs.steps.list(run.id, thread_id=thread.id)).data
    assert step.status == "cancelled"


@pytest.mark.parametrize(
    ("turn", "code", "says"),
    [
        (Fail(400, "your schema is odd"), "invalid_prompt", "your schema is odd"),
        (Fail(401, "bad key"), "server_error", "refused the server's key"),
        (Fail(404, "no such model"), "server_error", "doesn't know the model"),
        (Fail(429, "pay", code="insufficient_quota"), "rate_limit_exceeded", "quota"),
        (Break(Say("One two three four"), 2), "server_error", "cut off"),
        (StreamError(Say("One two three four"), 2, "out of memory"), "server_error", "out of memory"),
    ],
)
async def test_a_failure_says_why(project: Project, model: ScriptedModel, turn: Any, code: str, says: str) -> None:
    assistant, thread = await begin(project, model.script(turn))

    run = await run_to_end(project, assistant, thread)

    assert run.status == "failed"
    assert run.last_error is not None
    assert run.last_error.code == code
    assert says in run.last_error.message
    await project.client.beta.threads.messages.create(thread.id, role="user", content="The thread is free again.")


async def test_refusals_that_pass_are_tried_again(project: Project, model: ScriptedModel) -> None:
    name = model.script(Fail(429, "slow down", headers={"retry-after": "0"}), Fail(503, "busy"), Say("Here I am."))
    assistant, thread = await begin(project, name)

    run = await run_to_end(project, assistant, thread)

    assert run.status == "completed"
    assert len(model.requests(name)) == 3


async def test_a_token_limit_leaves_the_run_incomplete(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("This is the beginning of", finish="length"))
    assistant, thread = await begin(project, name)

    run = await run_to_end(project, assistant, thread, max_completion_tokens=256)

    assert run.status == "incomplete"
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == "max_completion_tokens"
    assert (await model.requested(name)).body["max_tokens"] == 256


async def test_the_newest_messages_that_fit_are_told(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("Yes."), Say("Yes."))
    assistant, thread = await begin(project, name)
    for number in range(10):
        content = f"Number {number}. " + "Many words of no interest. " * 20
        await project.client.beta.threads.messages.create(thread.id, role="user", content=content)

    some = await run_to_end(project, assistant, thread, max_prompt_tokens=400)
    whole = await run_to_end(project, assistant, thread)

    limited, unlimited = model.requests(name)
    assert [message["content"][:9] for message in limited.messages if message["role"] == "user"] == [
        "Number 7.",
        "Number 8.",
        "Number 9.",
    ]
    assert len(unlimited.messages) == len(limited.messages) + 9
    assert (some.status, whole.status) == ("completed", "completed")


async def test_a_question_that_is_too_long_is_not_asked(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("Never."))
    assistant, thread = await begin(project, name)
    await project.client.beta.threads.messages.create(thread.id, role="user", content="Many words. " * 300)

    run = await run_to_end(project, assistant, thread, max_prompt_tokens=256)

    assert run.status == "incomplete"
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == "max_prompt_tokens"
    assert model.requests(name) == []


async def test_a_run_takes_from_the_assistant_what_it_is_not_told(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("First."), Say("Second."))
    assistant, thread = await begin(
        project, name, instructions="Be brief.", temperature=0.5, top_p=0.9, tools=[WEATHER], metadata={"a": "b"}
    )

    run = await run_to_end(project, assistant, thread)
    other = await run_to_end(
        project,
        assistant,
        thread,
        temperature=0,
        tools=[],
        additional_instructions="In rhyme.",
        additional_messages=[{"role": "user", "content": "One more thing."}],
    )

    assert (run.temperature, run.top_p, run.instructions, len(run.tools)) == (0.5, 0.9, "Be brief.", 1)
    assert (other.temperature, other.top_p, other.tools) == (0, 0.9, [])
    assert other.instructions == "Be brief.\nIn rhyme."
    second = model.requests(name)[1]
    assert second.body["temperature"] == 0
    assert "tools" not in second.body
    assert second.messages[-1] == {"role": "user", "content": "One more thing."}


async def test_a_thread_and_its_run_are_made_together(project: Project, model: ScriptedModel) -> None:
    assistant = await project.client.beta.assistants.create(model=model.script(Say("Welcome.")))

    run = await project.client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "First"}, {"role": "user", "content": "Second"}]},
        poll_interval_ms=20,
    )

    assert run.status == "completed"
    found = (await project.client.beta.threads.messages.list(run.thread_id, order="asc")).data
    assert [m.content[0].text.value for m in found] == ["First", "Second", "Welcome."]  # type: ignore[union-attr]
