"""What runs use is counted once, with the key that made them and the model that was asked."""

from shared.code_sessions.commands import begin_hour
from shared.database import Database
from tests.api.test_runs import WEATHER, run_to_end
from tests.organization.conftest import Admin
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System, until
from tests.tools.test_file_search import SEARCH, begin, searches
from tests.usage.asking import key_of, results


async def test_what_a_run_of_two_turns_used(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    name = model.script(CallFunctions([("weather", {"city": "Bergen"})]), Say("It rains."))
    assistant = await project.client.beta.assistants.create(model=name, tools=[WEATHER])
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Well?"}])
    beta = project.client.beta.threads.runs
    waits = await beta.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=20)
    assert waits.required_action is not None
    (call,) = waits.required_action.submit_tool_outputs.tool_calls
    run = await beta.submit_tool_outputs_and_poll(
        run_id=waits.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": call.id, "output": "rain"}],
        poll_interval_ms=20,
    )
    assert run.usage is not None

    project_id, key_id = key_of(system, project)
    (used,) = await results(
        admin.client, "completions", project_ids=[project_id], group_by=["project_id", "api_key_id", "model"]
    )
    assert (used.project_id, used.api_key_id, used.model) == (project_id, key_id, name)
    assert used.num_model_requests == 2
    assert (used.input_tokens, used.output_tokens) == (run.usage.prompt_tokens, run.usage.completion_tokens)
    assert (used.user_id, used.batch) == (None, None)


async def test_it_is_counted_when_threads_and_assistants_are_gone(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    name = model.script(Say("One two three."))
    assistant = await project.client.beta.assistants.create(model=name)
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Well?"}])
    await run_to_end(project, assistant, thread)
    await project.client.beta.threads.delete(thread.id)
    await project.client.beta.assistants.delete(assistant.id)

    (used,) = await results(admin.client, "completions", models=[name])
    assert (used.num_model_requests, used.output_tokens) == (1, 3)
    await until(lambda: system.query("SELECT 1 FROM usage_facts WHERE subject = %s", name) == [])
    assert await results(admin.client, "completions", models=[name]) == [used], "added up, it is the same"


async def test_a_run_that_is_gone_leaves_what_it_used(project: Project, admin: Admin, model: ScriptedModel) -> None:
    """Its thread is deleted while the model speaks: no settlement finds it, and the worker counts it all the same."""
    gate = Gate()
    name = model.script(Say(["Half a", gate, " word."]))
    assistant = await project.client.beta.assistants.create(model=name)
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Well?"}])
    await project.client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    await gate.reached()
    await project.client.beta.threads.delete(thread.id)
    gate.open()
    await model.answered(name)

    async def counted() -> list[tuple[int, int]]:
        found = await results(admin.client, "completions", models=[name])
        return [(one.num_model_requests, one.output_tokens) for one in found]

    while await counted() != [(1, 3)]:
        assert await counted() in ([], [(1, 3)])


async def test_searches_and_their_vectors(project: Project, admin: Admin, system: System, model: ScriptedModel) -> None:
    name = model.script(searches("height of the tower"), Say("It is tall."))
    assistant, thread, _ = await begin(project, name, tower="The tower is 324 metres tall.", tools=(SEARCH,))

    await run_to_end(project, assistant, thread)

    project_id, key_id = key_of(system, project)
    (store_id,) = assistant.tool_resources.file_search.vector_store_ids  # type: ignore[union-attr, misc]
    (used,) = await results(
        admin.client, "file_search_calls", project_ids=[project_id], group_by=["api_key_id", "vector_store_id"]
    )
    assert (used.num_requests, used.api_key_id, used.vector_store_id) == (1, key_id, store_id)
    assert await results(admin.client, "file_search_calls", vector_store_ids=["vs_other"]) == []


async def test_a_thread_has_one_session_an_hour(project: Project, system: System) -> None:
    """As the original billed: what follows within the hour of the first call is of the same session."""
    project_id, key_id = key_of(system, project)
    thread = await project.client.beta.threads.create()
    run = {"project_id": project_id, "api_key_id": key_id, "assistant_id": "asst_1", "thread_id": thread.id}
    async with Database(system.database_url, pool_size=2) as database:
        begun = [await begin_hour(database, run) for _ in range(3)]
        system.query(
            "UPDATE code_interpreter_hours SET began_at = began_at - interval '1 hour' WHERE thread_id = %s",
            run["thread_id"],
        )
        begun += [await begin_hour(database, run) for _ in range(2)]

    assert begun == [True, False, False, True, False]
    counted = """SELECT sum(requests) FROM (SELECT requests, project_id, kind FROM usage_facts
      UNION ALL SELECT requests, project_id, kind FROM usage_minutes) AS used
      WHERE project_id = %s AND kind = 'code_interpreter_sessions'"""
    assert system.query(counted, project_id) == [(2,)]
