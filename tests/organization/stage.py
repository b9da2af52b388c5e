"""Projects with one of everything, and clients of theirs and of the administration."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
from openai import AsyncOpenAI

from shared.projects.keys import redact
from tests import http
from tests.organization.matrix import Position, Route
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System, until

LOOK: Any = {"type": "function", "function": {"name": "look"}}
POLL_MS = 20

TO_UNFINISHED = (
    "/threads/{thread_id}/runs/{run_id}/cancel",
    "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
    "/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel",
)
"""What is done to what is not over."""


@dataclass(frozen=True)
class Things:
    """Ids of what a project has, by what they are of. Its runs are over and its files are read, but for some that are
    `unfinished`: a run that waits for outputs, and a batch of files that somebody reads.
    """

    ids: Mapping[str, str]
    unfinished: Mapping[str, str]

    def of(self, route: Route) -> dict[str, str]:
        """Those with which the route can do what it does."""
        unfinished = self.unfinished if route.path in TO_UNFINISHED else {}
        return {**self.ids, **unfinished, "new_name": f"test-{uuid4().hex[:12]}"}


def nobodys(known: str) -> str:
    """An id that nobody has; it looks like the known one, and sorts as it does."""
    return f"{known[:-4]}zzzz"


@dataclass(frozen=True)
class Own:
    """What a project has, and who may ask for it: a client with a key to it, and one with an admin key."""

    client: httpx2.AsyncClient
    admin: httpx2.AsyncClient
    mine: Things

    @classmethod
    @asynccontextmanager
    async def of(cls, system: System, model: ScriptedModel) -> AsyncGenerator["Own"]:
        """A new project's. Raises AssertionError at its end if an answer broke the contract."""
        async with (
            Project.of(system) as project,
            http.session(project) as client,
            http.stranger(project, authorization=f"Bearer {await system.admin_key()}") as admin,
        ):
            yield Own(client, admin, await one_of_everything(system, model, project, admin))

    def asks(self, route: Route) -> httpx2.AsyncClient:
        """The one whose key opens the route."""
        return self.admin if route.of_organization else self.client


@dataclass(frozen=True)
class Stage(Own):
    """The same, and what another project has."""

    theirs: Things

    @classmethod
    @asynccontextmanager
    async def of(cls, system: System, model: ScriptedModel) -> AsyncGenerator["Stage"]:
        """Of two new projects; else as above. Where a key to the administration is asked for, theirs is none of it."""
        async with Own.of(system, model) as own, Own.of(system, model) as others:
            theirs = {**others.mine.ids, "key_id": others.mine.ids["api_key_id"]}
            yield Stage(own.client, own.admin, own.mine, Things(theirs, others.mine.unfinished))

    def other(self, position: Position) -> str:
        """What the other project has that could stand there."""
        return self.theirs.of(position.route)[position.name]

    def request(self, position: Position, other: str) -> dict[str, Any]:
        """Arguments of the `request` of whoever asks the route, with an `other` id in this position."""
        return position.request(self.mine.of(position.route), other)


async def one_of_everything(
    system: System, model: ScriptedModel, project: Project, admin: httpx2.AsyncClient
) -> Things:
    """Nobody changes any of it while tests look. A loose file is in no store and in no message."""
    client, name = project.client, model.script(*[Say("Hello.")] * 3)
    file, loose = [await client.files.create(file=("a.txt", b"content"), purpose="assistants") for _ in range(2)]
    run, waiting, upload, store, held, administered = await asyncio.gather(
        _finished_run(project, name, file.id),
        _waiting_run(client, model.script(CallFunctions([("look", {})]), Say("Seen."))),
        _upload(client),
        _store(client, file.id),
        _held_store(system, client, file.id),
        _administered(system, project, admin),
    )
    reads = "SELECT id FROM vector_store_files WHERE project_id = %s AND status = 'in_progress' AND batch_id <> %s"
    await until(lambda: not system.query(reads, administered["project_id"], held["batch_id"]))
    ids = {**waiting, **run, **upload, **store, **administered, "file_id": file.id, "loose_file_id": loose.id}
    return Things({**ids, "model": name, "rate_limit_id": f"rl-{name}"}, {**waiting, **held})


async def _finished_run(project: Project, name: str, file_id: str) -> dict[str, str]:
    """An assistant, what it said on a thread, and what was said to it in v1, with a file."""
    client = project.client
    assistant = await client.beta.assistants.create(model=name)
    run = await client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=POLL_MS)
    (step,) = (await client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id)).data
    async with http.session(project, openai_beta="assistants=v1") as v1:
        (await v1.post(f"/assistants/{assistant.id}/files", json={"file_id": file_id})).raise_for_status()
        said = {"role": "user", "content": "x", "file_ids": [file_id]}
        message = (await v1.post(f"/threads/{run.thread_id}/messages", json=said)).json()
    return {
        "assistant_id": assistant.id,
        "thread_id": run.thread_id,
        "message_id": message["id"],
        "run_id": run.id,
        "step_id": step.id,
    }


async def _waiting_run(client: AsyncOpenAI, name: str) -> dict[str, str]:
    """A run that waits for a function's output."""
    assistant = await client.beta.assistants.create(model=name, tools=[LOOK])
    run = await client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=POLL_MS)
    assert run.required_action is not None, run.status
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    return {"thread_id": run.thread_id, "run_id": run.id, "call_id": call.id}


async def _upload(client: AsyncOpenAI) -> dict[str, str]:
    """An upload with the one part that it needs."""
    upload = await client.uploads.create(filename="b.txt", bytes=1, mime_type="text/plain", purpose="assistants")
    part = await client.uploads.parts.create(upload.id, data=b"b")
    return {"upload_id": upload.id, "part_id": part.id}


async def _store(client: AsyncOpenAI, file_id: str) -> dict[str, str]:
    """A vector store with a file."""
    store = await client.vector_stores.create()
    batch = await client.vector_stores.file_batches.create_and_poll(
        store.id, file_ids=[file_id], poll_interval_ms=POLL_MS
    )
    return {"vector_store_id": store.id, "batch_id": batch.id}


async def _held_store(system: System, client: AsyncOpenAI, file_id: str) -> dict[str, str]:
    """The same as while a worker, that isn't one of the system's, reads the file."""
    store = await _store(client, file_id)
    system.query(
        "UPDATE vector_store_files SET status = 'in_progress', finished_at = NULL, lease_owner = 'somebody',"
        " lease_expires_at = now() + interval '1 hour' WHERE batch_id = %s",
        store["batch_id"],
    )
    return store


async def _administered(system: System, project: Project, admin: httpx2.AsyncClient) -> dict[str, str]:
    """What the administration knows of the project, which may spend something; an admin key, and what was noted."""
    ((project_id, account_id, key_id),) = system.query(
        "SELECT project_id, service_account_id, id FROM api_keys WHERE hint = %s", redact(project.key)
    )
    limit = f"/organization/projects/{project_id}/spend_limit"
    (await admin.post(limit, json={"threshold_amount": 100})).raise_for_status()
    made = await admin.post("/organization/admin_api_keys", json={"name": "x"})
    (entry,) = (await admin.get("/organization/audit_logs?limit=1")).json()["data"]
    return {
        "project_id": project_id,
        "service_account_id": account_id,
        "api_key_id": key_id,
        "key_id": made.json()["id"],
        "audit_log_id": entry["id"],
    }
