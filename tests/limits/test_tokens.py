"""Tokens a minute of a model: counted as the endpoint reports them, refused to new runs, waited for by others."""

import time
from datetime import timedelta
from typing import Any

import openai
import pytest
from openai.types.beta.threads import Run

from tests.limits.conftest import Tenant
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import until

LOOK: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


async def asking(tenant: Tenant, name: str) -> Run:
    """A run that waits for the outputs of its first turn's call; its model has a limit of 1,000 tokens."""
    assistant = await tenant.project.client.beta.assistants.create(model=name, tools=[LOOK])
    await tenant.limit_model(name, max_tokens_per_1_minute=1000)
    run = await tenant.project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    assert run.status == "requires_action"
    return run


async def go_on(tenant: Tenant, run: Run) -> None:
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    outputs: Any = [{"tool_call_id": call.id, "output": "seen"}]
    await tenant.project.client.beta.threads.runs.submit_tool_outputs(
        run.id, thread_id=run.thread_id, tool_outputs=outputs
    )


async def ended(tenant: Tenant, run: Run) -> Run:
    return await tenant.project.client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=20)


def use_up(tenant: Tenant, name: str, left: timedelta) -> None:
    """Somebody else uses all of the model's tokens, in a window that has so long left."""
    tenant.windows.set(tenant.window(f"tokens:{name}"), 1000, px=left)


async def waits(tenant: Tenant, run: Run) -> None:
    """Return when a worker holds it."""
    await until(lambda: tenant.system.query("SELECT status FROM runs WHERE id = %s", run.id) == [("in_progress",)])


async def test_tokens_are_counted_as_the_endpoint_reports_them(tenant: Tenant, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("look", {})]), Say("I see."), Say("No usage.", usage=False))
    run = await asking(tenant, name)
    await go_on(tenant, run)
    done = await ended(tenant, run)

    assert done.usage is not None
    assert done.usage.total_tokens > 0
    assert tenant.used() == {f"tokens:{name}": done.usage.total_tokens}
    assistant_id = done.assistant_id
    again = await tenant.project.client.beta.threads.create_and_run_poll(assistant_id=assistant_id, poll_interval_ms=20)
    assert again.status == "completed"
    assert tenant.used() == {f"tokens:{name}": done.usage.total_tokens}, "nobody has reported any"


async def test_a_new_run_is_refused_while_they_are_used_up(tenant: Tenant, model: ScriptedModel) -> None:
    """More may be used than there were left: what a turn costs is known at its end."""
    name = model.script(Say("A rather long answer."), Say("After the window."))
    client = tenant.project.client.beta
    assistant = await client.assistants.create(model=name)
    await tenant.limit_model(name, max_tokens_per_1_minute=1)
    run = await client.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    assert run.usage is not None
    used = run.usage.total_tokens
    assert used > 1

    with pytest.raises(openai.RateLimitError) as refused:
        await client.threads.create_and_run(assistant_id=assistant.id)

    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "tokens")
    message = str(refused.value.body["message"])  # type: ignore[index]
    told = f"Rate limit reached for {name} in project {tenant.id} on tokens per min (TPM): Limit 1, Used {used}, "
    assert message.startswith(f"{told}Requested 1. Please try again in 5")
    headers = refused.value.response.headers
    assert headers["x-ratelimit-limit-tokens"] == "1"
    assert headers["x-ratelimit-remaining-tokens"] == "0"
    assert 50_000 < int(headers["retry-after-ms"]) <= 60_000
    ((runs,),) = tenant.system.query("SELECT count(*) FROM runs WHERE project_id = %s", tenant.id)
    assert runs == 1

    tenant.windows.delete(tenant.window(f"tokens:{name}"))
    after = await client.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    assert after.status == "completed"


async def test_a_run_in_progress_waits_for_the_window_to_turn(tenant: Tenant, model: ScriptedModel) -> None:
    """It keeps its lease, which is a third of what it waits, and is asked about once."""
    name = model.script(CallFunctions([("look", {})]), Say("I see."))
    run = await asking(tenant, name)
    use_up(tenant, name, timedelta(seconds=3))
    began = time.monotonic()
    await go_on(tenant, run)
    await waits(tenant, run)
    assert len(model.requests(name)) == 1

    done = await ended(tenant, run)

    assert done.status == "completed"
    asked = await model.requested(name, 2)
    assert asked.received_at - began >= 2.9
    assert tenant.system.query("SELECT attempts, term FROM runs WHERE id = %s", run.id) == [(0, 3)]


async def test_a_run_that_waits_is_cancelled_at_once(tenant: Tenant, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("look", {})]), Say("Never said."))
    run = await asking(tenant, name)
    use_up(tenant, name, timedelta(seconds=60))
    await go_on(tenant, run)
    await waits(tenant, run)

    began = time.monotonic()
    await tenant.project.client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)

    assert (await ended(tenant, run)).status == "cancelled"
    assert time.monotonic() - began < 10
    assert model.remaining(name) == 1


async def test_a_run_that_waits_expires_in_time(tenant: Tenant, model: ScriptedModel) -> None:
    name = model.script(Say("Never said."))
    assistant = await tenant.project.client.beta.assistants.create(model=name)
    await tenant.limit_model(name, max_tokens_per_1_minute=1000)
    threads = tenant.project.client.beta.threads
    thread = await threads.create()
    await threads.messages.create(thread.id, role="user", content="Hello?")
    use_up(tenant, name, timedelta(seconds=60))
    tenant.windows.decrby(tenant.window(f"tokens:{name}"), 1)  # room for it to be let in
    run = await threads.runs.create(
        thread.id, assistant_id=assistant.id, extra_body={"assistantd": {"expires_after": 2}}
    )
    tenant.windows.incrby(tenant.window(f"tokens:{name}"), 1)

    assert (await ended(tenant, run)).status == "expired"
    assert model.remaining(name) == 1
