"""A project spends what its owners wanted to be told of, and then what it may: the metric, the log, and its runs."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.usage.facts import Used, record
from tests.metrics.stage import Measured, grows
from tests.organization.conftest import Admin, admin
from tests.ports import free_port
from tests.scripted_model import Say, ScriptedModel
from tests.system import Project, create_database, redis_apart, until
from tests.usage.asking import key_of
from tests.usage.test_budgets import eventually_refused

__all__ = ["admin"]

MODEL = "gpt-4o"  # a token asked for costs $0.0000025, so that 4,000 cost a cent
ALERT, LIMIT = 1, 2  # cents


@pytest.fixture(scope="module")
def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[Measured]:
    root = room / "budgets"
    root.mkdir()
    url = create_database(postgres.url, "budgets")
    settings = {"ASSISTANTD_LOG_FORMAT": "json"}
    made = Measured(root, url, redis_apart(redis_url), model.base_url, settings)
    made.api_port, made.worker_port = free_port(), free_port()
    made.start()
    yield made
    made.stop()


async def ask(project: Project, model: ScriptedModel, words: int) -> Any:
    """A run that asks in so many words."""
    assistant = await project.client.beta.assistants.create(model=model.script(Say("."), name=MODEL))
    question: Any = {"messages": [{"role": "user", "content": " ".join(["word"] * words)}]}
    return await project.client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread=question, poll_interval_ms=20
    )


async def added_up(system: Measured) -> None:
    """All that was used is held against the budgets. A worker does so right after it has added it up, so that it has
    when something else is added up after that.
    """
    async with Database(system.database_url, pool_size=2) as database:
        for _ in range(2):
            await record(database, "proj_other", None, [Used("completions", "any")])
            await until(lambda: system.query("SELECT 1 FROM usage_facts") == [])


def told(system: Measured, project_id: str) -> list[tuple[str, str, str]]:
    """What the worker's log tells of the project's budgets: how urgent it is, which was reached, how much was spent."""
    lines = [json.loads(line) for line in system.worker.log.read_text().splitlines() if "budget.reached" in line]
    return [(one["level"], one["budget"], one["spent_usd"]) for one in lines if one["project_id"] == project_id]


async def test_a_soft_budget_is_told_of_once_and_a_hard_one_ends_it(
    system: Measured, project: Project, admin: Admin, model: ScriptedModel
) -> None:
    project_id, _ = key_of(system, project)
    body = {"threshold_amount": LIMIT, "assistantd": {"alert_amount": ALERT}}
    answer = await admin.http.post(f"/organization/projects/{project_id}/spend_limit", json=body)
    assert answer.status_code == 200, answer.text
    alerts = partial(system.of_worker, "assistantd_budgets_reached_total", budget="alert")
    limits = partial(system.of_worker, "assistantd_budgets_reached_total", budget="limit")

    assert (await ask(project, model, 3000)).status == "completed"  # $0.0075, and $0.00001 for a word said
    await added_up(system)
    assert (alerts(), limits(), told(system, project_id)) == (0, 0, [])

    assert (await ask(project, model, 1500)).status == "completed"  # $0.01127 in all
    await grows(alerts, 0)
    assert limits() == 0
    assert told(system, project_id) == [("warning", "alert", "0.01")]

    assert (await ask(project, model, 1500)).status == "completed"  # $0.01503: runs go on, and nobody is told again
    await added_up(system)
    assert (alerts(), limits()) == (1, 0)
    assert len(told(system, project_id)) == 1

    assert (await ask(project, model, 2000)).status == "completed"  # $0.02004
    await grows(limits, 0)
    assert alerts() == 1
    assert told(system, project_id)[1:] == [("warning", "limit", "0.02")]
    assistant = await project.client.beta.assistants.create(model="any")
    assert (await eventually_refused(project.client, assistant.id)).code == "insufficient_quota"
