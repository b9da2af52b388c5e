"""What operators see of runs in Flower, and what they can do to them there."""

from typing import Any

import httpx2
import pytest
from openai.types.beta.threads import Run

from tests.browser.page import Page
from tests.flower.conftest import Flower, Swept, shown
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.system import Project, System, until

SECRET_WORD = "xylophone"
FUNCTION: Any = {"type": "function", "function": {"name": "play", "parameters": {"type": "object"}}}


async def begin(project: Project, model: str, **params: Any) -> Run:
    assistant = await project.client.beta.assistants.create(model=model, instructions=SECRET_WORD, **params)
    thread: Any = {"messages": [{"role": "user", "content": f"Do you play the {SECRET_WORD}?"}]}
    return await project.client.beta.threads.create_and_run(
        assistant_id=assistant.id, thread=thread, metadata={"what": SECRET_WORD}
    )


async def in_state(flower: Flower, run_id: str, state: str) -> dict[str, Any]:
    async def look() -> Any:
        task = await flower.of(run_id)
        return task if task is not None and task["state"] == state else None

    return await shown(look)


async def poll(project: Project, run: Run) -> Run:
    return await project.client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=20)


async def test_a_live_run_is_shown_with_its_ids_and_counted_and_none_of_its_content_is(
    flower: Flower, project: Project, model: ScriptedModel, system: System
) -> None:
    gate = Gate()
    run = await begin(project, model.script(Say([SECRET_WORD, gate, "!"])))
    await gate.reached()
    ((project_id,),) = system.query("SELECT project_id FROM runs WHERE id = %s", run.id)

    task = await in_state(flower, run.id, "STARTED")
    assert task["name"] == "run.execute"
    assert task["args"] == f"{run.id} {run.thread_id} {project_id}"
    assert task["kwargs"] == "{}"

    async def held() -> Any:
        (name,) = (await flower.http.get("/api/workers", params={"status": "true"})).json()
        params = {"refresh": "true", "workername": name}
        worker = (await flower.http.get("/api/workers", params=params)).json()[name]
        return worker["stats"]["pool"]["running"] == len(worker["active"]) == 1 and worker

    worker = await shown(held)
    assert worker["stats"]["pool"]["implementation"] == "worker.pool:TaskPool"
    gate.open()
    assert (await poll(project, run)).status == "completed"
    ended = await in_state(flower, run.id, "SUCCESS")
    assert ended["result"] == f"'{run.id} completed'"
    for path in ("/api/tasks", "/api/workers", "/workers?json=1", f"/task/{ended['uuid']}"):
        page = await flower.http.get(path)
        assert page.status_code == 200
        for secret in (SECRET_WORD, system.redis_url.split(":")[2].split("@")[0]):
            assert secret not in page.text


async def test_each_ring_of_a_run_is_a_task_that_says_what_the_run_came_to(
    flower: Flower, project: Project, model: ScriptedModel
) -> None:
    run = await begin(project, model.script(CallFunctions([("play", {"what": SECRET_WORD})])), tools=[FUNCTION])
    run = await poll(project, run)
    waiting = await in_state(flower, run.id, "SUCCESS")
    assert waiting["result"] == f"'{run.id} requires_action'"
    assert run.required_action is not None
    call = run.required_action.submit_tool_outputs.tool_calls[0]
    outputs: Any = [{"tool_call_id": call.id, "output": SECRET_WORD}]
    await project.client.beta.threads.runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=outputs)
    assert (await poll(project, run)).status == "failed"  # the script has no second turn

    failed = await in_state(flower, run.id, "FAILURE")
    assert failed["uuid"] != waiting["uuid"]
    assert failed["exception"] == f"'{run.id} failed: server_error'"


async def test_with_a_backlog_a_task_is_shown_as_the_run_whose_turn_it_was(
    flower: Flower, project: Project, model: ScriptedModel, system: System, swept: Swept
) -> None:
    gates = [Gate(), Gate()]
    held = [await begin(project, model.script(Say(["Slowly", gate, "."]))) for gate in gates]
    for gate in gates:
        await gate.reached()  # both slots are taken
    rung_for = await begin(project, model.script(Say("Later.")))
    async with Project.of(system) as other:
        gate = Gate()
        whose_turn = await begin(other, model.script(Say(["Now", gate, "."])))
        await swept.again()  # the worker has seen that rings wait
        gates[0].open()
        await gate.reached()

        async def renamed() -> bool:
            task = await flower.of(rung_for.id)
            return task is not None and task["args"].startswith(f"{whose_turn.id} {whose_turn.thread_id} proj_")

        await shown(renamed)
        gate.open()
        assert (await poll(other, whose_turn)).status == "completed"
    ended = await in_state(flower, rung_for.id, "SUCCESS")
    assert ended["result"] == f"'{whose_turn.id} completed'"
    gates[1].open()
    for run in (*held, rung_for):
        assert (await poll(project, run)).status == "completed"


@pytest.mark.parametrize("terminate", [True, False])
async def test_to_revoke_a_live_task_is_to_cancel_its_run(
    flower: Flower, project: Project, model: ScriptedModel, *, terminate: bool
) -> None:
    gate = Gate()
    run = await begin(project, model.script(Say(["Slowly", gate, "."])))
    await gate.reached()
    task = await in_state(flower, run.id, "STARTED")

    await flower.revoke(task["uuid"], terminate=terminate)

    assert (await poll(project, run)).status == "cancelled"
    assert (await in_state(flower, run.id, "REVOKED"))["uuid"] == task["uuid"]
    gate.open()
    again = await begin(project, model.script(Say("Next.")))
    assert (await poll(project, again)).status == "completed"


async def test_a_stream_ends_with_the_cancel_of_a_revoked_run(
    flower: Flower, project: Project, model: ScriptedModel
) -> None:
    gate = Gate()
    assistant = await project.client.beta.assistants.create(model=model.script(Say(["Slowly", gate, "."])))
    events: list[str] = []
    run_id = ""
    async with await project.client.beta.threads.create_and_run(assistant_id=assistant.id, stream=True) as stream:
        async for event in stream:
            events.append(event.event)
            if event.event == "thread.run.created":
                run_id = event.data.id
            if event.event == "thread.message.delta":
                await flower.revoke((await in_state(flower, run_id, "STARTED"))["uuid"], terminate=True)
    assert events[-1] == "thread.run.cancelled"


async def test_a_run_that_waits_for_its_client_is_cancelled_too_and_by_its_own_id(
    flower: Flower, project: Project, model: ScriptedModel, system: System
) -> None:
    run = await begin(project, model.script(CallFunctions([("play", {})])), tools=[FUNCTION])
    assert (await poll(project, run)).status == "requires_action"

    await flower.revoke(run.id, terminate=False)

    await until(lambda: system.query("SELECT status FROM runs WHERE id = %s", run.id) == [("cancelled",)])
    steps = await project.client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id)
    assert [step.status for step in steps.data] == ["cancelled"]


async def test_nothing_is_shown_without_the_password(flower: Flower) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{flower.port}") as stranger:
        for path in ("/", "/tasks", "/api/tasks", "/api/workers"):
            assert (await stranger.get(path)).status_code == 401
        assert (await stranger.post("/api/task/revoke/run_0")).status_code == 401


async def test_people_see_a_live_run_in_their_browser_and_end_it_with_a_click(
    flower: Flower, project: Project, model: ScriptedModel
) -> None:
    gate = Gate()
    async with Page.new() as page:
        run = await begin(project, model.script(Say([SECRET_WORD, gate, "."])))
        await gate.reached()
        task = await in_state(flower, run.id, "STARTED")

        await page.open(flower.url)
        await page.first("document.querySelector('#workers-active').innerText === '1'")
        assert "worker-" in await page.text()
        await page.go("/tasks")
        row = await page.first(
            f"[...document.querySelectorAll('#tasks-table tbody tr')].find(row => "
            f"row.innerText.includes('{run.id}'))?.innerText"
        )
        for cell in ("run.execute", run.thread_id, "STARTED", "worker-"):
            assert cell in row

        await page.go(f"/task/{task['uuid']}")
        assert SECRET_WORD not in await page.text()
        await page.evaluate("document.querySelector('#task-terminate').click()")
        await page.first("document.querySelector('#task-terminate').disabled")
        assert (await poll(project, run)).status == "cancelled"
        await in_state(flower, run.id, "REVOKED")
        await page.go(f"/task/{task['uuid']}")
        assert "REVOKED" in await page.text()
