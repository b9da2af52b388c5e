"""Runs whose model searches the files: what it is offered and told, what clients see of it, and that citations hold."""

import json
from typing import Any

import pytest
from openai import AsyncAssistantEventHandler
from openai.types.beta import Assistant, AssistantStreamEvent, Thread

from tests.api.test_runs import WEATHER, run_to_end, texts
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System, until
from tests.vector_stores import store_of, upload

INCLUDE: Any = ["step_details.tool_calls[*].file_search.results[*].content"]
SEARCH: Any = {"type": "file_search"}


def searches(*queries: str, **more: Any) -> CallFunctions:
    return CallFunctions([("file_search", {"queries": list(queries)})], **more)


async def begin(
    project: Project, model: str, *, question: str = "How tall?", tools: Any = (SEARCH,), **texts: str
) -> tuple[Assistant, Thread, dict[str, str]]:
    """An assistant with a store of these files."""
    store, files = await store_of(project.client, **texts) if texts else ("", {})
    resources: Any = {"file_search": {"vector_store_ids": [store]}} if store else {}
    made = await project.client.beta.assistants.create(model=model, tools=list(tools), tool_resources=resources)
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": question}])
    return made, thread, files


async def steps_of(project: Project, run: Any, **options: Any) -> list[Any]:
    steps = project.client.beta.threads.runs.steps
    return (await steps.list(run.id, thread_id=run.thread_id, order="asc", **options)).data


async def answer_of(project: Project, thread: Thread) -> Any:
    """The text of the newest message: `value` and `annotations`."""
    found = await project.client.beta.threads.messages.list(thread.id, limit=1)
    return found.data[0].content[0].text  # type: ignore[union-attr]


async def test_an_answer_cites_what_was_found(project: Project, model: ScriptedModel) -> None:
    said = "It is 324 metres tall【1:0†source】, they say."
    name = model.script(searches("height of the tower"), Say(said))
    assistant, thread, files = await begin(
        project, name, tower="The tower is 324 metres tall. It is made of iron.", cake="Cakes are made of flour."
    )

    run = await run_to_end(project, assistant, thread)

    assert run.status == "completed", run.last_error
    text = await answer_of(project, thread)
    assert text.value == said
    (citation,) = text.annotations
    assert citation.type == "file_citation"
    assert citation.text == said[citation.start_index : citation.end_index] == "【1:0†source】"
    assert citation.file_citation.file_id == files["tower"]
    assert citation.assistantd["quote"] == "The tower is 324 metres tall."
    assert citation.assistantd["page"] is None
    search, message = await steps_of(project, run)
    assert (search.type, search.status, message.type) == ("tool_calls", "completed", "message_creation")
    (call,) = search.step_details.tool_calls
    assert [result.file_name for result in call.file_search.results] == ["tower.txt"]
    assert call.file_search.results[0].content is None
    assert call.file_search.ranking_options.ranker == "default_2024_08_21"
    assert run.usage is not None
    assert run.usage.total_tokens == search.usage.total_tokens + message.usage.total_tokens


async def test_the_model_is_offered_a_function_and_told_each_result_under_a_mark(
    project: Project, model: ScriptedModel
) -> None:
    name = model.script(searches("tower"), Say("So."))
    assistant, thread, _ = await begin(project, name, tower="The tower is tall.")

    await run_to_end(project, assistant, thread)

    first, second = model.requests(name)
    assert [tool["function"]["name"] for tool in first.body["tools"]] == ["file_search"]
    asked, told = second.messages[-2:]
    assert json.loads(asked["tool_calls"][0]["function"]["arguments"]) == {"queries": ["tower"]}
    assert told["tool_call_id"] == asked["tool_calls"][0]["id"]
    assert told["content"] == "【1:0†source】 tower.txt\nThe tower is tall.\n"


async def test_contents_are_shown_where_asked_for(project: Project, model: ScriptedModel) -> None:
    name = model.script(searches("tower"), Say("So."))
    assistant, thread, _ = await begin(project, name, tower="The tower is tall.")
    run = await run_to_end(project, assistant, thread)
    steps = project.client.beta.threads.runs.steps

    listed = (await steps_of(project, run, include=INCLUDE))[0]
    shown = await steps.retrieve(listed.id, thread_id=thread.id, run_id=run.id, include=INCLUDE)

    for step in (listed, shown):
        (result,) = step.step_details.tool_calls[0].file_search.results  # type: ignore[union-attr]
        assert [part.text for part in result.content or []] == ["The tower is tall."]


@pytest.mark.parametrize("include", [[], INCLUDE])
async def test_a_stream_tells_of_the_search_and_of_citations(
    project: Project, model: ScriptedModel, include: Any
) -> None:
    pieces = ["It is ", "tall 【", "1:", "0†sou", "rce】", ". Surely."]
    name = model.script(searches("tower"), Say(pieces))
    assistant, thread, files = await begin(project, name, tower="The tower is tall.")
    events: list[AssistantStreamEvent] = []

    class Handler(AsyncAssistantEventHandler):
        async def on_event(self, event: AssistantStreamEvent) -> None:
            events.append(event)

    handler = Handler()
    async with project.client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=handler, include=include
    ) as stream:
        await stream.until_done()

    names = [event.event for event in events if "delta" not in event.event]
    assert names == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.run.step.completed",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    begun, found = [event.data.delta for event in events if event.event == "thread.run.step.delta"]
    assert begun.step_details.tool_calls[0].type == "file_search"  # type: ignore[union-attr]
    assert begun.step_details.tool_calls[0].file_search == {}  # type: ignore[union-attr]
    assert found.step_details.tool_calls[0].id is None  # type: ignore[union-attr]
    (message,) = await handler.get_final_messages()
    assert message.content[0].text.value == "".join(pieces)  # type: ignore[union-attr]
    texts_told = [event.data.delta.content[0].text for event in events if event.event == "thread.message.delta"]  # type: ignore[union-attr, index]
    (cited,) = [text for text in texts_told if text.annotations]  # type: ignore[union-attr]
    assert cited.value == "【1:0†source】"  # type: ignore[union-attr]
    assert cited.annotations[0].file_citation.file_id == files["tower"]  # type: ignore[union-attr, index]
    assert [text.value for text in texts_told if "【" in text.value] == ["【1:0†source】"]  # type: ignore[union-attr]
    step = next(event.data for event in events if event.event == "thread.run.step.completed")
    (result,) = step.step_details.tool_calls[0].file_search.results  # type: ignore[union-attr]
    assert bool(result.content) is bool(include)
    (snapshot,) = (await handler.get_final_run_steps())[0].step_details.tool_calls  # type: ignore[union-attr]
    assert snapshot.file_search.results == [result]  # type: ignore[union-attr]


async def test_an_invented_mark_is_text(project: Project, model: ScriptedModel) -> None:
    said = "Tall【7:3†source】. A list: 【a】【1:0†source】【1:1†source】 and 【1:0"
    name = model.script(searches("tower"), Say(list(said)))
    assistant, thread, _ = await begin(project, name, tower="The tower is tall.")

    await run_to_end(project, assistant, thread)

    text = await answer_of(project, thread)
    assert text.value == said
    assert [annotation.start_index for annotation in text.annotations] == [said.index("【1:0†")]


async def test_several_queries_and_several_calls_are_numbered_on(project: Project, model: ScriptedModel) -> None:
    two = CallFunctions(
        [("file_search", {"queries": ["tower", "iron"]}), ("file_search", {"query": "cake"}), ("file_search", "{}")]
    )
    name = model.script(two, searches("cake"), Say("Flour【1:1†source】, flour【2:0†source】."))
    assistant, thread, files = await begin(project, name, tower="The tower is of iron.", cake="A cake is of flour.")

    run = await run_to_end(project, assistant, thread)

    told = [message["content"] for message in model.requests(name)[1].messages if message["role"] == "tool"]
    assert [content.split("\n")[0] for content in told] == [
        "【1:0†source】 tower.txt",
        "【1:1†source】 cake.txt",
        'Expected an object with a list of strings, such as {"queries": ["..."]}.',
    ]
    text = await answer_of(project, thread)
    assert [annotation.file_citation.file_id for annotation in text.annotations] == [files["cake"]] * 2
    assert [step.type for step in await steps_of(project, run)] == ["tool_calls", "tool_calls", "message_creation"]


async def test_a_later_run_is_told_where_marks_came_from_and_may_repeat_them(
    project: Project, model: ScriptedModel
) -> None:
    name = model.script(searches("tower"), Say("Tall【1:0†source】."), Say("As I said【1:0†source】."))
    assistant, thread, files = await begin(project, name, tower="The tower is tall.")
    await run_to_end(project, assistant, thread)
    await project.client.beta.threads.messages.create(thread.id, role="user", content="Sure?")

    await run_to_end(project, assistant, thread)

    told = [message["content"] for message in model.requests(name)[2].messages if message["role"] == "tool"]
    assert told == ["【1:0†source】 tower.txt"]
    text = await answer_of(project, thread)
    assert text.annotations[0].file_citation.file_id == files["tower"]
    assert text.annotations[0].assistantd["quote"] == "The tower is tall."


async def test_functions_of_the_client_in_the_same_answer_wait_for_it(project: Project, model: ScriptedModel) -> None:
    both = CallFunctions([("weather", {"city": "Bergen"}), ("file_search", {"queries": ["tower"]})])
    name = model.script(both, Say("Tall and wet."))
    assistant, thread, _ = await begin(project, name, tools=(SEARCH, WEATHER), tower="The tower is tall.")

    run = await run_to_end(project, assistant, thread)

    assert run.status == "requires_action"
    (call,) = run.required_action.submit_tool_outputs.tool_calls  # type: ignore[union-attr]
    assert call.function.name == "weather"
    (waiting,) = await steps_of(project, run)
    assert (waiting.status, len(waiting.step_details.tool_calls)) == ("in_progress", 2)
    assert waiting.step_details.tool_calls[1].file_search.results
    done = await project.client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": call.id, "output": "rain"}],
        poll_interval_ms=20,
    )
    assert done.status == "completed"
    told = [message["content"] for message in model.requests(name)[1].messages if message["role"] == "tool"]
    assert told == ["rain", "【1:0†source】 tower.txt\nThe tower is tall.\n"]


@pytest.mark.parametrize(
    ("choice", "first"),
    [
        ("required", "required"),
        (SEARCH, {"type": "function", "function": {"name": "file_search"}}),
        ("none", "none"),
    ],
)
async def test_a_choice_of_the_tool_is_met_once(
    project: Project, model: ScriptedModel, choice: Any, first: Any
) -> None:
    name = model.script(searches("tower"), Say("So."))
    assistant, thread, _ = await begin(project, name, tower="The tower is tall.")

    await run_to_end(project, assistant, thread, tool_choice=choice)

    assert [request.body["tool_choice"] for request in model.requests(name)] == [
        first,
        "auto" if first != "none" else "none",
    ]


async def test_options_of_the_tool_have_their_effect(project: Project, model: ScriptedModel) -> None:
    options: Any = {"type": "file_search", "file_search": {"max_num_results": 1}}
    name = model.script(searches("tower"), Say("So."))
    assistant, thread, _ = await begin(
        project, name, tools=(options,), one="A tower.", two="A tower.", three="A tower."
    )

    run = await run_to_end(project, assistant, thread)

    assert len((await steps_of(project, run))[0].step_details.tool_calls[0].file_search.results) == 1
    strict: Any = {"type": "file_search", "file_search": {"ranking_options": {"score_threshold": 1.0}}}
    model.script(searches("tower"), Say("So."), name=name)
    await project.client.beta.threads.messages.create(thread.id, role="user", content="Sure?")
    run = await run_to_end(project, assistant, thread, tools=[strict])
    search = (await steps_of(project, run))[0].step_details.tool_calls[0].file_search
    assert (search.results, search.ranking_options.score_threshold) == ([], 1.0)
    assert model.requests(name)[3].messages[-1]["content"] == "Nothing was found."


async def test_a_question_with_a_null_character_is_searched_for_without_it(
    project: Project, model: ScriptedModel
) -> None:
    """Postgres has no such character; a model that says it does not end the run."""
    name = model.script(searches("height\0tower", "\0"), Say("324 metres【1:0†source】."))
    assistant, thread, _ = await begin(project, name, tower="The tower is 324 metres tall.")

    assert (await run_to_end(project, assistant, thread)).status == "completed"
    assert len((await answer_of(project, thread)).annotations) == 1


async def test_without_a_store_nothing_is_found(project: Project, model: ScriptedModel) -> None:
    name = model.script(searches("tower"), Say("So."))
    assistant, thread, _ = await begin(project, name)

    run = await run_to_end(project, assistant, thread)

    assert run.status == "completed"
    assert model.requests(name)[1].messages[-1]["content"] == "Nothing was found."


async def test_an_expired_store_fails_the_run(project: Project, model: ScriptedModel, system: System) -> None:
    name = model.script(searches("tower"))
    assistant, thread, _ = await begin(project, name, tower="The tower is tall.")
    (store,) = assistant.tool_resources.file_search.vector_store_ids  # type: ignore[union-attr]
    system.query("UPDATE vector_stores SET expired_at = now() WHERE id = %s", store)

    run = await run_to_end(project, assistant, thread)

    assert run.status == "failed"
    assert run.last_error is not None
    assert run.last_error.message == f"Vector store {store} has expired."
    assert [step.status for step in await steps_of(project, run)] == ["failed"]


async def test_a_file_of_the_thread_is_waited_for(project: Project, model: ScriptedModel, system: System) -> None:
    """The file is held by nobody, under a lease, until the test lets go of it."""
    name = model.script(searches("tower"), Say("So."))
    assistant, thread, _ = await begin(project, name)
    store, files = await store_of(project.client, tower="The tower is tall.")
    await project.client.beta.threads.update(thread.id, tool_resources={"file_search": {"vector_store_ids": [store]}})
    held = """UPDATE vector_store_files SET status = 'in_progress', finished_at = NULL, created_at = now(),
      lease_owner = 'nobody', lease_expires_at = now() + interval '1 hour' WHERE id = %s"""
    system.query(held, files["tower"])

    run = await project.client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)
    await until(lambda: system.query("SELECT 1 FROM run_steps WHERE run_id = %s", run.id) != [])
    assert len(model.requests(name)) == 1
    let_go = """UPDATE vector_store_files SET status = 'completed', finished_at = now(), lease_owner = NULL,
      lease_expires_at = NULL WHERE id = %s"""
    system.query(let_go, files["tower"])
    told = (await model.requested(name, 2)).messages[-1]["content"]

    assert told.startswith("【1:0†source】 tower.txt")


async def test_of_a_file_that_takes_too_long_the_model_is_told(
    project: Project, model: ScriptedModel, system: System
) -> None:
    name = model.script(searches("tower"), Say("So."))
    assistant, thread, files = await begin(project, name, tower="The tower is tall.", cake="A cake.")
    stuck = """UPDATE vector_store_files SET status = 'in_progress', finished_at = NULL, lease_owner = 'nobody',
      created_at = now() - interval '61 seconds', lease_expires_at = now() + interval '1 hour' WHERE id = %s"""
    system.query(stuck, files["cake"])
    (store,) = assistant.tool_resources.file_search.vector_store_ids  # type: ignore[union-attr]
    await project.client.beta.threads.update(thread.id, tool_resources={"file_search": {"vector_store_ids": [store]}})

    await run_to_end(project, assistant, thread)

    note, mark, *_ = model.requests(name)[1].messages[-1]["content"].split("\n")
    assert note.startswith("Not searched, because they are still being read: cake.txt.")
    assert mark == "【1:0†source】 tower.txt"


async def test_a_model_that_always_searches_has_to_answer_in_the_end(project: Project, model: ScriptedModel) -> None:
    name = model.script(*[searches("tower")] * 100, Say("At last."))
    assistant, thread, _ = await begin(project, name)

    run = await run_to_end(project, assistant, thread)

    assert run.status == "completed"
    assert [request.body["tool_choice"] for request in model.requests(name)[-2:]] == ["auto", "none"]
    assert (await texts(project, thread))[-1] == ("assistant", "At last.")


async def test_a_run_is_cancelled_between_search_and_answer(project: Project, model: ScriptedModel) -> None:
    gate = Gate()
    name = model.script(searches("tower"), Say("So.", before=gate))
    assistant, thread, _ = await begin(project, name, tower="The tower is tall.")
    run = await project.client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)
    await gate.reached()

    await project.client.beta.threads.runs.cancel(run.id, thread_id=thread.id)
    ended = await project.client.beta.threads.runs.poll(run.id, thread_id=thread.id, poll_interval_ms=20)

    assert ended.status == "cancelled"
    assert [step.status for step in await steps_of(project, run)] == ["completed"]


async def test_one_project_never_finds_what_is_anothers(project: Project, model: ScriptedModel, system: System) -> None:
    text = "The tower is tall."
    async with Project.of(system) as other:
        store, _ = await store_of(other.client, tower=text)
    name = model.script(searches("tower"), Say("So."))
    assistant, thread, _ = await begin(project, name)
    named = json.dumps({"file_search": {"vector_store_ids": [store]}})
    system.query("UPDATE assistants SET tool_resources = %s WHERE id = %s", named, assistant.id)

    await run_to_end(project, assistant, thread)

    assert model.requests(name)[1].messages[-1]["content"] == "Nothing was found."
    assert await upload(project.client, text) is not None
