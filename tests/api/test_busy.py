"""A thread's second run: refused, queued behind the first, or in its place."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import Project


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


async def busy_thread(project: Project, model: ScriptedModel, hold: Gate, *later: str) -> tuple[str, str, str]:
    """A thread whose run is held by the model: thread, assistant, run."""
    name = model.script(Say(["First ", hold, "done."]), *(Say(text) for text in later))
    assistant = await project.client.beta.assistants.create(model=name)
    run = await project.client.beta.threads.create_and_run(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "One?"}]}
    )
    await hold.reached()
    return run.thread_id, assistant.id, run.id


def second(assistant: str, when_busy: str, question: str = "Two?") -> dict[str, Any]:
    return {
        "assistant_id": assistant,
        "additional_messages": [{"role": "user", "content": question}],
        "assistantd": {"when_busy": when_busy},
    }


async def ended(project: Project, thread: str, run: str) -> Any:
    return await project.client.beta.threads.runs.poll(run, thread_id=thread, poll_interval_ms=20)


async def texts(project: Project, thread: str) -> list[str]:
    found = await project.client.beta.threads.messages.list(thread, order="asc")
    return [message.content[0].text.value for message in found.data]  # type: ignore[union-attr]


async def test_enqueued_runs_keep_their_order_and_their_messages(
    project: Project, model: ScriptedModel, client: httpx2.AsyncClient
) -> None:
    """[RUN-5]."""
    hold = Gate()
    thread, assistant, first = await busy_thread(project, model, hold, "Second.", "Third.")
    path = f"/threads/{thread}/runs"

    two = (await client.post(path, json=second(assistant, "enqueue"))).json()
    three = (await client.post(path, json=second(assistant, "enqueue", "Three?"))).json()

    assert (two["status"], three["status"]) == ("queued", "queued")
    facts = (await client.get(f"{path}/{two['id']}", params={"assistantd": "true"})).json()["assistantd"]
    assert facts["waiting_for_thread"] is True
    assert await texts(project, thread) == ["One?"]
    hold.open()
    for run in (first, two["id"], three["id"]):
        assert (await ended(project, thread, run)).status == "completed"
    assert await texts(project, thread) == ["One?", "First done.", "Two?", "Second.", "Three?", "Third."]


async def test_an_enqueued_run_can_be_streamed(
    project: Project, model: ScriptedModel, client: httpx2.AsyncClient
) -> None:
    hold = Gate()
    thread, assistant, _ = await busy_thread(project, model, hold, "Second.")
    body = {**second(assistant, "enqueue"), "stream": True}
    names: list[str] = []

    async with client.stream("POST", f"/threads/{thread}/runs", json=body) as response:
        async for event in http.events(response):
            names.append(event.name)
            if event.name == "thread.run.queued":
                hold.open()

    assert names[:3] == ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
    assert names[-2:] == ["thread.run.completed", "done"]


async def test_an_enqueued_run_can_be_cancelled(
    project: Project, model: ScriptedModel, client: httpx2.AsyncClient
) -> None:
    hold = Gate()
    thread, assistant, first = await busy_thread(project, model, hold)
    two = (await client.post(f"/threads/{thread}/runs", json=second(assistant, "enqueue"))).json()

    cancelled = (await client.post(f"/threads/{thread}/runs/{two['id']}/cancel")).json()
    hold.open()

    assert cancelled["status"] == "cancelled"
    assert (await ended(project, thread, first)).status == "completed"
    assert await texts(project, thread) == ["One?", "First done."]


async def test_the_active_run_can_be_made_to_give_way(
    project: Project, model: ScriptedModel, client: httpx2.AsyncClient
) -> None:
    hold = Gate()
    thread, assistant, first = await busy_thread(project, model, hold, "Second.")

    two = (await client.post(f"/threads/{thread}/runs", json=second(assistant, "cancel_active"))).json()

    assert (await ended(project, thread, two["id"])).status == "completed"
    assert (await ended(project, thread, first)).status == "cancelled"
    assert (await texts(project, thread))[-2:] == ["Two?", "Second."]


async def test_those_that_wait_do_not_give_way(
    project: Project, model: ScriptedModel, client: httpx2.AsyncClient
) -> None:
    hold = Gate()
    thread, assistant, first = await busy_thread(project, model, hold, "Two.", "Three.")
    waiting = (await client.post(f"/threads/{thread}/runs", json=second(assistant, "enqueue"))).json()

    last = await client.post(f"/threads/{thread}/runs", json=second(assistant, "cancel_active", "Three?"))

    assert (await ended(project, thread, first)).status == "cancelled"
    assert (await ended(project, thread, waiting["id"])).status == "completed"
    assert (await ended(project, thread, last.json()["id"])).status == "completed"
    hold.open()


async def test_what_is_refused_cancels_nothing(
    project: Project, model: ScriptedModel, client: httpx2.AsyncClient
) -> None:
    hold = Gate()
    thread, _, first = await busy_thread(project, model, hold)

    refused = await client.post(f"/threads/{thread}/runs", json=second("asst_nobody", "cancel_active"))
    hold.open()

    assert refused.status_code == 404
    assert (await ended(project, thread, first)).status == "completed"


async def test_one_of_many_at_once_gets_the_thread(
    project: Project, model: ScriptedModel, client: httpx2.AsyncClient
) -> None:
    """[RUN-5]: whoever is refused is told which run is active."""
    hold = Gate()
    name = model.script(Say("Done.", before=hold))
    assistant = (await project.client.beta.assistants.create(model=name)).id
    thread = (await project.client.beta.threads.create()).id
    body = {"assistant_id": assistant}

    answers = await asyncio.gather(*(client.post(f"/threads/{thread}/runs", json=body) for _ in range(12)))

    (winner,) = (answer.json()["id"] for answer in answers if answer.status_code == 200)
    refused = [answer.json()["error"]["message"] for answer in answers if answer.status_code != 200]
    assert refused == [f"Thread {thread} already has an active run {winner}."] * 11
    hold.open()
    assert (await ended(project, thread, winner)).status == "completed"


async def test_a_word_that_is_no_policy_is_refused(client: httpx2.AsyncClient, project: Project) -> None:
    thread = (await project.client.beta.threads.create()).id

    answer = await client.post(f"/threads/{thread}/runs", json=second("asst_x", "queue"))

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "assistantd.when_busy"


async def test_a_run_tells_its_history_when_asked(
    project: Project, model: ScriptedModel, client: httpx2.AsyncClient
) -> None:
    assistant = await project.client.beta.assistants.create(model=model.script(Say("Hello.")))
    run = await project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    path = f"/threads/{run.thread_id}/runs/{run.id}"

    facts = (await client.get(path, params={"assistantd": "true"})).json()["assistantd"]

    assert "assistantd" not in (await client.get(path)).json()
    assert [move["reason"] for move in facts["history"]] == ["claimed", "finished"]
    assert facts["history"][0]["worker"] == facts["history"][1]["worker"]
    assert facts["workers_lost"] == 0
    (attempt,) = facts["attempts"]
    assert attempt["worker"] == facts["history"][0]["worker"]
    assert attempt["reason"] == "finished"
    assert attempt["started_at"] <= attempt["ended_at"]
