"""What a run is told has its effect on what the model is asked."""

from typing import Any

import pytest
from openai.types.beta.threads import Run

from tests.api.test_runs import WEATHER, begin, run_to_end
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project

NAMED: Any = {"type": "function", "function": {"name": "weather"}}
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "description": "In a word.",
        "schema": {"type": "object", "properties": {"word": {"type": "string"}}},
        "strict": True,
    },
}


async def asked(project: Project, model: ScriptedModel, **options: Any) -> dict[str, Any]:
    """What the model is asked for by a run with these options, whose assistant has a function."""
    name = model.script(Say("Yes."))
    assistant, thread = await begin(project, name, tools=[WEATHER])
    run = await run_to_end(project, assistant, thread, **options)
    assert run.status == "completed", run.last_error
    return model.requests(name)[0].body


@pytest.mark.parametrize("choice", ["none", "auto", "required", NAMED])
async def test_the_choice_of_a_tool(project: Project, model: ScriptedModel, choice: Any) -> None:
    assert (await asked(project, model, tool_choice=choice))["tool_choice"] == choice


async def test_a_named_function_is_forced_once(project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("weather", {})]), Say("Done."))
    assistant, thread = await begin(project, name, tools=[WEATHER])
    waiting = await run_to_end(project, assistant, thread, tool_choice=NAMED)

    await submit(project, waiting)

    assert [received.body["tool_choice"] for received in model.requests(name)] == [NAMED, "auto"]


async def test_calls_one_at_a_time(project: Project, model: ScriptedModel) -> None:
    assert (await asked(project, model, parallel_tool_calls=False))["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in await asked(project, model, parallel_tool_calls=True)  # the endpoint's default


@pytest.mark.parametrize("form", [{"type": "json_object"}, SCHEMA])
async def test_the_form_of_the_answer(project: Project, model: ScriptedModel, form: Any) -> None:
    assert (await asked(project, model, response_format=form))["response_format"] == form


async def test_another_model(project: Project, model: ScriptedModel) -> None:
    name, other = model.script(), model.script(Say("I am the other."))
    assistant, thread = await begin(project, name)

    run = await run_to_end(project, assistant, thread, model=other)

    assert (run.status, run.model) == ("completed", other)
    assert len(model.requests(other)) == 1


async def test_the_last_messages(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("Yes."))
    assistant, thread = await begin(project, name, question="1")
    for number in ("2", "3", "4"):
        await project.client.beta.threads.messages.create(thread.id, role="user", content=number)

    await run_to_end(project, assistant, thread, truncation_strategy={"type": "last_messages", "last_messages": 2})

    assert [message["content"] for message in (await model.requested(name)).messages] == ["3", "4"]


async def test_answers_share_the_budget_of_their_run(project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("weather", {})], text="word " * 200), Say("Done."))
    assistant, thread = await begin(project, name, tools=[WEATHER])
    waiting = await run_to_end(project, assistant, thread, max_completion_tokens=256)

    run = await submit(project, waiting)

    assert run.status == "completed"
    first, second = (received.body["max_tokens"] for received in model.requests(name))
    assert first == 256
    assert 40 < second < 60  # what 200 words and a call have left


@pytest.mark.parametrize("limit", ["max_completion_tokens", "max_prompt_tokens"])
async def test_a_budget_that_is_used_up_ends_the_run(project: Project, model: ScriptedModel, limit: str) -> None:
    """Its outputs are taken all the same, and the model isn't asked again."""
    name = model.script(CallFunctions([("weather", {})], text="word " * 300), Say("Never."))
    assistant, thread = await begin(project, name, tools=[WEATHER])
    waiting = await run_to_end(project, assistant, thread, **{limit: 256})

    run = await submit(project, waiting, output="wet " * 300)

    assert run.status == "incomplete"
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == limit
    assert len(model.requests(name)) == 1


async def test_images_by_address_and_their_detail(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("A cat."))
    picture = await project.client.files.create(file=("cat.jpg", b"\xff\xd8..."), purpose="vision")
    linked: Any = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "low"}}
    kept: Any = {"type": "image_file", "image_file": {"file_id": picture.id, "detail": "high"}}
    assistant, thread = await begin(project, name)

    await run_to_end(project, assistant, thread, additional_messages=[{"role": "user", "content": [linked, kept]}])

    told = (await model.requested(name)).messages[-1]["content"]
    assert told[0] == linked
    assert told[1]["image_url"]["detail"] == "high"
    assert told[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


async def submit(project: Project, waiting: Run, output: str = "wet") -> Run:
    assert waiting.required_action is not None, waiting.status
    return await project.client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=waiting.id,
        thread_id=waiting.thread_id,
        tool_outputs=[
            {"tool_call_id": call.id, "output": output}
            for call in waiting.required_action.submit_tool_outputs.tool_calls
        ],
        poll_interval_ms=20,
    )
