"""Costs, and what runs, threads and assistants are told to have cost, through the API."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.database import Database
from shared.usage.facts import Used, record
from tests.api.test_runs import WEATHER, run_to_end
from tests.http import session
from tests.organization.conftest import Admin
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System
from tests.usage.asking import DAY, costs, key_of, project_id_of, results, today

GIB = 2**30


async def usage_of(project: Project, path: str) -> Any:
    """What a run, a thread or an assistant is told to have used, with what it costs."""
    async with session(project) as http:
        return (await http.get(f"{path}?assistantd=true")).json()["assistantd"]["usage"]


async def test_a_bill_by_hand(project: Project, admin: Admin, system: System) -> None:
    """Tokens: 0.8 * 2.50 + 0.4 * 1.25 + 0.15 * 10 = 4.00. Three sessions: 0.09. Vectors: 1 * 0.13. 3 GiB for two
    hours, the first GiB for nothing: 2 * 2 / 24 * 0.10, or 0.1 / 6. Together 4.22 and that.
    """
    project_id, key_id = key_of(system, project)
    used = [
        Used("completions", "gpt-4o", 7, 1_200_000, 400_000, 150_000),
        Used("code_interpreter_sessions", requests=3),
        Used("embeddings", "text-embedding-3-large", 5, 1_000_000),
        Used("completions", "a-model-of-our-own", 5, 1_000_000, 0, 1_000_000),
    ]
    async with Database(system.database_url, pool_size=2) as database:
        await record(database, project_id, key_id, used)
    for hour in (0, 1):
        at = datetime.fromtimestamp(today(), UTC) + timedelta(hours=hour)
        system.query("INSERT INTO usage_bytes VALUES ('vector_stores', %s, %s, %s)", at, project_id, 3 * GIB)

    (whole,) = await costs(admin.client, project_ids=[project_id])
    assert whole.amount.value == pytest.approx(4.22 + 0.1 / 6, abs=1e-12)
    assert (whole.amount.currency, whole.line_item, whole.quantity) == ("usd", None, None)

    lines = {
        one.line_item: (one.amount.value, one.quantity, one.quantity_unit)
        for one in await costs(admin.client, project_ids=[project_id], group_by=["line_item", "project_id"])
    }
    assert lines.pop("vector store storage") == (pytest.approx(0.1 / 6, abs=1e-12), 4, "gibibyte_hours")
    assert lines == {
        "gpt-4o, input": (2.0, 800_000, "tokens"),
        "gpt-4o, cached input": (0.5, 400_000, "tokens"),
        "gpt-4o, output": (1.5, 150_000, "tokens"),
        "code interpreter sessions": (0.09, 3, None),
        "text-embedding-3-large, input": (0.13, 1_000_000, "tokens"),
        "a-model-of-our-own, input": (0.0, 1_000_000, "tokens"),
        "a-model-of-our-own, output": (0.0, 1_000_000, "tokens"),
    }
    (of_key,) = await costs(admin.client, api_key_ids=[key_id], group_by=["api_key_id"])
    assert (of_key.api_key_id, of_key.amount.value) == (key_id, 4.22)


async def test_what_was_used_costs_what_it_did_on_its_day(project: Project, admin: Admin, system: System) -> None:
    project_id, _ = key_of(system, project)
    for day in ("2024-10-01", "2024-10-02"):
        system.query(
            "INSERT INTO usage_minutes VALUES ('completions', %s, %s, '', 'gpt-4o', 1, 1000000, 0, 0)",
            datetime.fromisoformat(f"{day}T12:00:00Z"),
            project_id,
        )
    start = int(datetime(2024, 10, 1, tzinfo=UTC).timestamp())
    question: Any = {"start_time": start, "end_time": start + 2 * DAY, "project_ids": [project_id]}
    assert [one.amount.value for one in await costs(admin.client, **question)] == [5.0, 2.5]


async def test_a_run_a_thread_and_an_assistant_say_what_they_cost(
    project: Project, system: System, model: ScriptedModel
) -> None:
    """gpt-4.1-nano, $0.10 and $0.40 a million."""
    del system
    name = model.script(Say("One two three."), Say("Four."), name="gpt-4.1-nano")
    assistant = await project.client.beta.assistants.create(model=name)
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": "Well?"}])
    runs = [await run_to_end(project, assistant, thread) for _ in range(2)]
    counts = [(run.usage.prompt_tokens, run.usage.completion_tokens) for run in runs if run.usage is not None]
    each = [(asked * 0.10 + said * 0.40) / 1e6 for asked, said in counts]

    for run, cost in zip(runs, each, strict=True):
        told = await usage_of(project, f"/threads/{thread.id}/runs/{run.id}")
        assert told["cost"] == {"value": pytest.approx(cost, abs=1e-15), "currency": "usd"}
    whole = await usage_of(project, f"/threads/{thread.id}")
    assert whole["cost"]["value"] == pytest.approx(sum(each), abs=1e-15)
    assert {line["line_item"]: line["quantity"] for line in whole["line_items"]} == {
        "gpt-4.1-nano, input": sum(asked for asked, _ in counts),
        "gpt-4.1-nano, output": sum(said for _, said in counts),
    }
    assert await usage_of(project, f"/assistants/{assistant.id}") == whole
    await project.client.beta.threads.delete(thread.id)
    assert await usage_of(project, f"/assistants/{assistant.id}") == whole, "what was used was used"


async def test_what_the_endpoint_had_at_hand_costs_less(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    """gpt-4o-mini: a million for $0.15, for $0.075 of those at hand, for $0.60 of those said.

    The question has 1,000 words, and 640 are at hand; then 7 more, and 1,000 are. In millionths of a dollar: 367 for
    55.05, 1,640 at hand for 123, 6 and 2 said for 4.80. Another run hears nothing of any being at hand: 1,009 for
    151.35, 1 said for 0.60.
    """
    project_id, key_id = key_of(system, project)
    asks = CallFunctions([("weather", {"city": "Bergen"})], text="Let me look.", cached=640)
    name = model.script(asks, Say("It rains.", cached=1000), Say("Yes."), name="gpt-4o-mini")
    assistant = await project.client.beta.assistants.create(model=name, tools=[WEATHER])
    question = " ".join(f"w{number}" for number in range(1000))
    thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": question}])
    runs = project.client.beta.threads.runs
    waits = await runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=20)
    assert waits.required_action is not None
    (call,) = waits.required_action.submit_tool_outputs.tool_calls
    outputs: Any = [{"tool_call_id": call.id, "output": "rain and then more"}]
    run = await runs.submit_tool_outputs_and_poll(
        run_id=waits.id, thread_id=thread.id, tool_outputs=outputs, poll_interval_ms=20
    )
    second = await run_to_end(project, assistant, thread)
    assert run.usage is not None
    assert second.usage is not None
    assert (run.usage.prompt_tokens, run.usage.completion_tokens) == (2007, 8)
    assert (second.usage.prompt_tokens, second.usage.completion_tokens) == (1009, 1)

    asked: Any = {"project_ids": [project_id], "group_by": ["api_key_id", "model"]}
    (used,) = await results(admin.client, "completions", **asked)
    assert (used.api_key_id, used.model, used.num_model_requests) == (key_id, name, 3)
    assert (used.input_tokens, used.output_tokens) == (2007 + 1009, 9)
    assert (used.input_cached_tokens, used.input_uncached_tokens) == (1640, 367 + 1009)

    bill = await costs(admin.client, project_ids=[project_id], group_by=["line_item"])
    assert {one.line_item: (one.quantity, one.amount.value) for one in bill} == {
        f"{name}, input": (367 + 1009, pytest.approx((55.05 + 151.35) / 1e6, abs=1e-15)),
        f"{name}, cached input": (1640, pytest.approx(123 / 1e6, abs=1e-15)),
        f"{name}, output": (9, pytest.approx((4.80 + 0.60) / 1e6, abs=1e-15)),
    }
    for path, lines, cost in (
        (f"/threads/{thread.id}/runs/{run.id}", [367, 1640, 8], 55.05 + 123 + 4.80),
        (f"/threads/{thread.id}/runs/{second.id}", [1009, 1], 151.35 + 0.60),
        (f"/threads/{thread.id}", [367 + 1009, 1640, 9], 182.85 + 151.95),
        (f"/assistants/{assistant.id}", [367 + 1009, 1640, 9], 182.85 + 151.95),
    ):
        told = await usage_of(project, path)
        assert [line["quantity"] for line in told["line_items"]] == lines, path
        assert told["cost"]["value"] == pytest.approx(cost / 1e6, abs=1e-15), path


async def test_no_more_is_at_hand_than_was_asked(
    project: Project, admin: Admin, system: System, model: ScriptedModel
) -> None:
    """Whatever an endpoint says."""
    name = model.script(Say("So.", cached=1000), Say("So.", cached=-1))
    assistant = await project.client.beta.assistants.create(model=name)
    for words in ("one two three", "four five"):
        thread = await project.client.beta.threads.create(messages=[{"role": "user", "content": words}])
        assert (await run_to_end(project, assistant, thread)).status == "completed"

    (used,) = await results(admin.client, "completions", project_ids=[project_id_of(system, project)])
    assert (used.input_cached_tokens, used.input_uncached_tokens) == (3, 2)
