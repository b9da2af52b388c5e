"""Every object, status and event of the API passes the referee at least once."""

import io
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError
from openai.types.beta.threads import Run

from tests import http
from tests.conformance.schema.recorder import Recorder
from tests.scripted_model import Break, CallFunctions, Fail, Gate, Hang, Say, ScriptedModel, Turn
from tests.system import Project, System

FUNCTION: Any = {
    "type": "function",
    "function": {"name": "look", "description": "Look.", "parameters": {"type": "object", "properties": {}}},
}
INCLUDED: Any = ["step_details.tool_calls[*].file_search.results[*].content"]
EVENTS_OF_A_MESSAGE = {
    ("thread.message.created", "thread.message"),
    ("thread.message.in_progress", "thread.message"),
    ("thread.message.delta", "thread.message.delta"),
    ("thread.message.completed", "thread.message"),
}


async def begin(client: AsyncOpenAI, model: ScriptedModel, *turns: Turn, **more: Any) -> Run:
    """A run of a new assistant on a new thread."""
    assistant = await client.beta.assistants.create(model=model.script(*turns), tools=[FUNCTION])
    return await client.beta.threads.create_and_run(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Hello?"}]}, **more
    )


async def finish(client: AsyncOpenAI, run: Run) -> Run:
    """The run when it is over, or waits; what it did is looked at, too."""
    run = await client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=20)
    await client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id)
    await client.beta.threads.messages.list(run.thread_id)
    return run


async def submit(client: AsyncOpenAI, run: Run) -> Run:
    """Give the run its outputs."""
    assert run.required_action is not None
    return await client.beta.threads.runs.submit_tool_outputs(
        run.id,
        thread_id=run.thread_id,
        tool_outputs=[
            {"tool_call_id": call.id, "output": "seen"} for call in run.required_action.submit_tool_outputs.tool_calls
        ],
    )


async def test_assistants(client: AsyncOpenAI, recorder: Recorder) -> None:
    assistants = client.beta.assistants
    bare = await assistants.create(model="m")
    full = await assistants.create(
        model="m",
        name="Name",
        description="Description",
        instructions="Instructions",
        tools=[
            FUNCTION,
            {"type": "code_interpreter"},
            {
                "type": "file_search",
                "file_search": {"max_num_results": 5, "ranking_options": {"ranker": "auto", "score_threshold": 0.5}},
            },
        ],
        tool_resources={"code_interpreter": {"file_ids": []}},
        temperature=0,
        top_p=0.1,
        reasoning_effort="low",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        metadata={"a": "b"},
    )

    await assistants.retrieve(full.id)
    await assistants.update(bare.id, response_format={"type": "text"}, tools=[{"type": "file_search"}])
    await assistants.list()
    await assistants.list(after=bare.id, order="desc")
    await assistants.delete(bare.id)

    assert recorder.seen == {("assistant", ""), ("list", ""), ("assistant.deleted", "")}


async def test_threads_and_messages(client: AsyncOpenAI, recorder: Recorder) -> None:
    threads, messages = client.beta.threads, client.beta.threads.messages
    image = await client.files.create(file=("i.png", b"png"), purpose="vision")
    await threads.create()
    thread = await threads.create(metadata={"a": "b"}, tool_resources={"code_interpreter": {"file_ids": [image.id]}})
    await messages.list(thread.id)
    message = await messages.create(
        thread.id,
        role="user",
        content=[
            {"type": "text", "text": "Look."},
            {"type": "image_url", "image_url": {"url": "https://example.com/i.png", "detail": "low"}},
            {"type": "image_file", "image_file": {"file_id": image.id}},
        ],
        attachments=[{"file_id": image.id, "tools": [{"type": "file_search"}, {"type": "code_interpreter"}]}],
        metadata={"c": "d"},
    )
    await messages.create(thread.id, role="assistant", content="Looked.")

    await messages.retrieve(message.id, thread_id=thread.id)
    await messages.update(message.id, thread_id=thread.id, metadata={})
    await messages.list(thread.id)
    await messages.delete(message.id, thread_id=thread.id)
    await threads.retrieve(thread.id)
    await threads.update(thread.id, metadata={"e": "f"})
    await client.get("/threads", cast_to=object)
    await client.get("/threads?order_by=last_activity&metadata[e]=f&limit=1", cast_to=object)
    await threads.delete(thread.id)

    assert recorder.seen >= {
        ("thread", ""),
        ("thread.message", "completed"),
        ("list", ""),
        ("thread.deleted", ""),
        ("thread.message.deleted", ""),
    }


@pytest.mark.parametrize("purpose", ["assistants", "batch", "fine-tune", "vision", "user_data"])
async def test_files(client: AsyncOpenAI, recorder: Recorder, purpose: Any) -> None:
    files = client.files
    file = await files.create(file=("a.jsonl", io.BytesIO(b"{}\n")), purpose=purpose)
    await files.create(file=b"b", purpose=purpose, expires_after={"anchor": "created_at", "seconds": 3600})

    await files.retrieve(file.id)
    await files.list()
    content = await files.content(file.id)
    await files.delete(file.id)

    assert content.content == b"{}\n"
    assert recorder.seen >= {("file", "processed"), ("list", "")}


async def test_files_of_a_purpose_that_the_client_knows_only_in_requests(project: Project) -> None:
    async with http.session(project) as client:
        file = (await client.post("/files", data={"purpose": "evals"}, files={"file": b"e"})).json()

    assert file["purpose"] == "evals"


async def test_models(client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder) -> None:
    model.script(Hang())  # a list has to have something in it

    listed = await client.models.list()
    await client.models.retrieve(listed.data[0].id)

    assert recorder.seen == {("model", ""), ("list", "")}


async def test_uploads(client: AsyncOpenAI, recorder: Recorder) -> None:
    uploads = client.uploads
    facts: Any = {"purpose": "assistants", "mime_type": "text/plain"}
    await uploads.upload_file_chunked(file=b"one two", filename="a.txt", bytes=7, part_size=4, **facts)
    upload = await uploads.create(
        filename="b.txt", bytes=1, expires_after={"anchor": "created_at", "seconds": 3600}, **facts
    )
    await uploads.parts.create(upload.id, data=b"x")
    await uploads.cancel(upload.id)
    with pytest.raises(BadRequestError):
        await uploads.complete(upload.id, part_ids=[])

    assert recorder.seen == {
        *(("upload", status) for status in ("", "pending", "completed", "cancelled")),
        ("upload.part", ""),
        ("error", ""),
    }


async def test_runs_that_complete(client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder) -> None:
    gate = Gate()
    run = await begin(
        client,
        model,
        CallFunctions([("look", {"at": "a"}), ("look", {"at": "b"})], text="Let me see.", before=gate),
        Say("Done."),
        max_prompt_tokens=1000,
        max_completion_tokens=1000,
        truncation_strategy={"type": "last_messages", "last_messages": 3},
        tool_choice={"type": "function", "function": {"name": "look"}},
        response_format={"type": "json_object"},
        parallel_tool_calls=False,
        metadata={"a": "b"},
    )
    await gate.reached()
    await client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    gate.open()
    waiting = await finish(client, run)
    await submit(client, waiting)
    ended = await finish(client, run)
    runs = client.beta.threads.runs
    steps = (await runs.steps.list(run.id, thread_id=run.thread_id)).data
    await runs.steps.retrieve(steps[0].id, run_id=run.id, thread_id=run.thread_id)
    assert (await runs.steps.list(run.id, thread_id=run.thread_id, include=INCLUDED)).data == steps
    assert (await runs.steps.retrieve(steps[0].id, run_id=run.id, thread_id=run.thread_id, include=INCLUDED)) == steps[
        0
    ]
    await runs.update(run.id, thread_id=run.thread_id, metadata={"c": "d"})
    await runs.list(run.thread_id)

    assert ended.status == "completed"
    assert recorder.seen >= {
        *(("thread.run", status) for status in ("queued", "in_progress", "requires_action", "completed")),
        *(("thread.run.step", word) for word in ("tool_calls", "message_creation", "in_progress", "completed")),
    }


@pytest.mark.parametrize(
    ("turn", "status"),
    [
        (Fail(400, "bad prompt"), "failed"),
        (Fail(429, "quota", code="insufficient_quota"), "failed"),
        (Break(Say("One two three"), 2), "failed"),
        (Break(CallFunctions([("look", {"at": "everything"})]), 2), "failed"),
        (Say("One two", finish="length"), "incomplete"),
        (Say("One two", finish="content_filter"), "completed"),
    ],
)
async def test_runs_that_end_otherwise(
    client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder, turn: Turn, status: str
) -> None:
    run = await begin(client, model, turn)

    ended = await finish(client, run)

    assert ended.status == status
    assert ("thread.run", status) in recorder.seen


async def test_runs_that_are_to_show_what_was_found(client: AsyncOpenAI, model: ScriptedModel) -> None:
    """There is nothing to show as long as no step searches; the parameter is known."""
    assistant = await client.beta.assistants.create(model=model.script(Say("Hello.")))
    thread = await client.beta.threads.create()

    run = await client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, include=INCLUDED)

    assert (await finish(client, run)).status == "completed"


async def test_runs_that_are_cancelled(client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder) -> None:
    gate = Gate()
    run = await begin(client, model, Say(["One ", gate, "two"]))
    await gate.reached()

    asked = await client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    await finish(client, run)
    waiting = await finish(client, await begin(client, model, CallFunctions([("look", {})])))
    await client.beta.threads.runs.cancel(waiting.id, thread_id=waiting.thread_id)
    await finish(client, waiting)

    assert asked.status == "cancelling"
    assert recorder.seen >= {
        ("thread.run", "cancelling"),
        ("thread.run", "cancelled"),
        ("thread.run.step", "cancelled"),
        ("thread.message", "incomplete"),
    }


async def test_runs_that_expire(client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder, system: System) -> None:
    run = await finish(client, await begin(client, model, CallFunctions([("look", {})])))

    system.query("UPDATE runs SET expires_at = now() WHERE id = %s", run.id)
    while run.status == "requires_action":
        run = await client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    await finish(client, run)

    assert recorder.seen >= {("thread.run", "expired"), ("thread.run.step", "expired")}


async def test_events_of_runs_that_complete(client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder) -> None:
    turns = CallFunctions([("look", {"at": "a"}), ("look", {"at": "b"})], text="Let me see."), Say("Done.")
    assistant = await client.beta.assistants.create(model=model.script(*turns), tools=[FUNCTION])

    async with client.beta.threads.create_and_run_stream(assistant_id=assistant.id) as stream:
        run = await stream.get_final_run()
    assert run.required_action is not None
    async with client.beta.threads.runs.submit_tool_outputs_stream(
        run_id=run.id,
        thread_id=run.thread_id,
        tool_outputs=[
            {"tool_call_id": call.id, "output": "seen"} for call in run.required_action.submit_tool_outputs.tool_calls
        ],
    ) as stream:
        await stream.until_done()

    assert recorder.seen >= {
        ("thread.created", "thread"),
        *((f"thread.run.{word}", "thread.run") for word in ("created", "queued", "in_progress", "requires_action")),
        ("thread.run.completed", "thread.run"),
        *((f"thread.run.step.{word}", "thread.run.step") for word in ("created", "in_progress", "completed")),
        ("thread.run.step.delta", "thread.run.step.delta"),
        *EVENTS_OF_A_MESSAGE,
        ("done", "[DONE]"),
    }


@pytest.mark.parametrize(
    ("turn", "events"),
    [
        (Fail(400, "bad prompt"), {"thread.run.failed"}),
        (Break(Say("One two"), 1), {"thread.message.incomplete", "thread.run.step.failed", "thread.run.failed"}),
        (Say("One two", finish="length"), {"thread.message.incomplete", "thread.run.incomplete"}),
    ],
)
async def test_events_of_runs_that_end_otherwise(
    client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder, turn: Turn, events: set[str]
) -> None:
    assistant = await client.beta.assistants.create(model=model.script(turn))

    async with client.beta.threads.create_and_run_stream(assistant_id=assistant.id) as stream:
        await stream.until_done()

    assert {event for event, _ in recorder.seen} >= {*events, "done"}


Act = Callable[[Run], Awaitable[object]]


async def interfere(client: AsyncOpenAI, model: ScriptedModel, act: Act) -> None:
    """Follow a stream to its end, and `act` on its run in the middle of the answer."""
    gate = Gate()
    assistant = await client.beta.assistants.create(model=model.script(Say(["One ", gate, "two"])))
    async with client.beta.threads.create_and_run_stream(assistant_id=assistant.id) as stream:
        async for event in stream:
            if event.event == "thread.message.in_progress":
                await gate.reached()
                assert stream.current_run is not None
                await act(stream.current_run)


async def test_events_of_a_run_that_is_cancelled(client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder) -> None:
    runs = client.beta.threads.runs

    await interfere(client, model, lambda run: runs.cancel(run.id, thread_id=run.thread_id))

    ended = {"thread.message.incomplete", "thread.run.step.cancelled", "thread.run.cancelled"}
    assert {event for event, _ in recorder.seen} >= {*ended, "done"}


async def test_the_event_of_a_run_that_is_about_to_be_cancelled(
    client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder
) -> None:
    runs = client.beta.threads.runs

    await interfere(client, model, lambda run: runs.cancel(run.id, thread_id=run.thread_id))

    assert ("thread.run.cancelling", "thread.run") in recorder.seen


async def test_the_event_of_a_run_that_is_deleted(
    client: AsyncOpenAI, model: ScriptedModel, recorder: Recorder
) -> None:
    threads = client.beta.threads

    with pytest.raises(APIError, match="deleted"):
        await interfere(client, model, lambda run: threads.delete(run.thread_id))

    assert ("error", "error") in recorder.seen


async def test_errors(client: AsyncOpenAI, recorder: Recorder) -> None:
    for wrong, call in (
        (NotFoundError, client.beta.assistants.retrieve("asst_nobody")),
        (NotFoundError, client.get("/nowhere", cast_to=object)),
        (BadRequestError, client.beta.assistants.create(model="m", temperature=5)),
        (BadRequestError, client.beta.threads.retrieve("undefined")),
        (BadRequestError, client.post("/threads", body=[], cast_to=object)),
        (AuthenticationError, client.with_options(api_key="sk-wrong").beta.assistants.list()),
    ):
        with pytest.raises(wrong):
            await call

    assert recorder.seen == {("error", "")}
