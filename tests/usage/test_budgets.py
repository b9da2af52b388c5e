"""Budgets: who is told, who is refused, and what becomes of what is under way."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest

from tests.organization.conftest import Admin
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.scripted_model.wire import usage
from tests.system import Project, System, until
from tests.tools.test_file_search import SEARCH, searches
from tests.usage.asking import key_of, results

PACE = timedelta(milliseconds=100)  # of a model that takes its time: longer in all than workers take to hear of it
MESSAGE = "You exceeded your current quota, please check your plan and billing details."


def spend(system: System, project_id: str, millions: int) -> None:
    """$2.50 each."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    row = "('completions', %s, %s, '', 'gpt-4o', 1, %s, 0, 0)"
    system.query(f"INSERT INTO usage_minutes VALUES {row}", now, project_id, millions * 1_000_000)


async def put(admin: Admin, project_id: str, **body: Any) -> Any:
    answer = await admin.http.post(f"/organization/projects/{project_id}/spend_limit", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def eventually_refused(client: openai.AsyncOpenAI, assistant_id: str) -> openai.RateLimitError:
    """The first run that is refused: keys are remembered for a second."""
    async with asyncio.timeout(10):
        while True:
            try:
                await client.beta.threads.create_and_run(assistant_id=assistant_id)
            except openai.RateLimitError as error:
                return error


async def test_a_hard_budget_from_its_beginning_to_its_end(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    limits = admin.client.admin.organization.projects.spend_limit
    project_id, _ = key_of(system, project)
    with pytest.raises(openai.NotFoundError):
        await limits.retrieve(project_id)
    made = await limits.update(project_id, threshold_amount=400, currency="USD", interval="month")
    assert (made.threshold_amount, made.enforcement.status) == (400, "inactive")
    assistant = await project.client.beta.assistants.create(model=model.script(Say("."), Say(".")))

    spend(system, project_id, 2)
    again = await limits.update(project_id, threshold_amount=400, currency="USD", interval="month")
    assert again.enforcement.status == "enforcing"

    refused = await eventually_refused(project.client, assistant.id)
    assert (refused.status_code, refused.type, refused.code) == (429, "insufficient_quota", "insufficient_quota")
    assert MESSAGE in refused.message
    thread = await project.client.beta.threads.create()
    with pytest.raises(openai.RateLimitError):
        await project.client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)

    raised = await limits.update(project_id, threshold_amount=501, currency="USD", interval="month")
    assert raised.enforcement.status == "inactive"
    assert (await limits.delete(project_id)).deleted
    with pytest.raises(openai.NotFoundError):
        await limits.delete(project_id)


async def test_a_run_under_way_ends_its_turn(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    """It would search for ever; when its worker has heard that there is no quota, it begins no further turn."""
    gate = Gate()
    name = model.script(searches("x", before=gate), *[searches("x", before=PACE) for _ in range(90)])
    project_id, _ = key_of(system, project)
    assistant = await project.client.beta.assistants.create(model=name, tools=[SEARCH])
    run = await project.client.beta.threads.create_and_run(assistant_id=assistant.id)
    await gate.reached()
    spend(system, project_id, 1)
    await put(admin, project_id, threshold_amount=100)
    gate.open()

    ended = "SELECT status FROM runs WHERE id = %s AND finished_at IS NOT NULL"
    await until(lambda: system.query(ended, run.id) == [("failed",)])

    seen = await project.client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert seen.last_error is not None
    assert seen.last_error.code == "rate_limit_exceeded"
    assert seen.last_error.message.startswith(MESSAGE)
    steps = (await project.client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, limit=100)).data
    assert {step.status for step in steps} == {"completed"}
    assert len(steps) == len(model.requests(name)) > 0
    told = [usage(asked.body, searches("x")) for asked in model.requests(name)]
    (used,) = await results(admin.client, "completions", models=[name])
    assert (used.num_model_requests, used.input_tokens) == (len(told), sum(one["prompt_tokens"] for one in told))
    assert used.output_tokens == sum(one["completion_tokens"] for one in told)


async def test_a_soft_budget_is_told_of_once(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    project_id, _ = key_of(system, project)
    spend(system, project_id, 4)
    shown = await put(admin, project_id, assistantd={"alert_amount": 999})
    assert shown["threshold_amount"] is None
    assert shown["assistantd"] == {"alert_amount": 999, "alerted": False, "spent": {"value": 10.0, "currency": "usd"}}
    name = model.script(Say("."), Say("."))
    assistant = await project.client.beta.assistants.create(model=name)

    def told() -> list[str]:
        logs = [process.log.read_text() for process in system.processes]
        return [line for log in logs for line in log.splitlines() if "budget.reached" in line and project_id in line]

    for _ in range(2):
        await project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
        await until(lambda: len(told()) == 1)
        await until(lambda: system.query("SELECT 1 FROM usage_facts WHERE subject = %s", name) == [])
    assert len(told()) == 1, "once a month"
    state = (await admin.http.get(f"/organization/projects/{project_id}/spend_limit")).json()
    assert state["assistantd"]["alerted"]
    assert state["enforcement"] == {"status": "inactive"}


async def test_a_budget_that_says_nothing_is_refused(admin: Admin) -> None:
    project = await admin.project()
    answer = await admin.http.post(f"/organization/projects/{project}/spend_limit", json={"currency": "USD"})
    assert answer.status_code == 400
    assert "threshold_amount" in json.dumps(answer.json())
