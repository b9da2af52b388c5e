"""Bytes that a project may store, and runs that it may have worked on at once."""

import asyncio
from typing import Any

import httpx2
import openai
import pytest

from tests.limits.conftest import Tenant
from tests.limits.test_requests import session
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import until


def said(tenant: Tenant, limit: int) -> str:
    return (
        f"You have exceeded your file storage quota. Project {tenant.id} is limited to {limit} bytes of files. "
        "Please delete old files or attempt with a smaller file size."
    )


def stored(tenant: Tenant) -> int:
    """Bytes of files in the blob store that belong to the project, counted by their rows."""
    ((total,),) = tenant.system.query("SELECT coalesce(sum(bytes), 0) FROM files WHERE project_id = %s", tenant.id)
    return int(total)


def blobs(tenant: Tenant) -> int:
    """Files in the blob store, whoever they belong to."""
    return sum(1 for path in (tenant.system.root / "data" / "files").rglob("*") if path.is_file())


async def upload(client: httpx2.AsyncClient, content: bytes, once: str | None = None) -> httpx2.Response:
    form: Any = {"files": {"file": ("a.txt", content)}, "data": {"purpose": "assistants"}}
    return await client.post("/files", **form, headers={} if once is None else {"idempotency-key": once})


async def test_files_fill_a_project_exactly_however_many_come_at_once(tenant: Tenant) -> None:
    await tenant.limit(max_stored_bytes=450)
    before = blobs(tenant)
    one, two = (session(tenant, address) for address in tenant.system.addresses)
    async with one, two:
        answers = await asyncio.gather(
            *(upload(one if place % 2 else two, b"x" * 100, str(place) if place < 6 else None) for place in range(12))
        )
        assert sorted(answer.status_code for answer in answers) == [200] * 4 + [400] * 8
        assert (stored(tenant), blobs(tenant) - before) == (400, 4)

        error = next(answer for answer in answers if answer.status_code == 400).json()["error"]
        assert error == {
            "message": said(tenant, 450),
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
        assert (await upload(one, b"x" * 50)).status_code == 200
        kept = next(answer for answer in answers if answer.status_code == 200).json()["id"]
        assert (await upload(one, b"x")).status_code == 400
        (await one.delete(f"/files/{kept}")).raise_for_status()
        assert (await upload(one, b"x" * 100)).status_code == 200
    assert stored(tenant) == 450


async def test_an_upload_in_parts_has_to_fit_when_it_is_announced_and_when_it_is_made(tenant: Tenant) -> None:
    client = tenant.project.client
    await tenant.limit(max_stored_bytes=100)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.uploads.create(filename="a.txt", bytes=101, mime_type="text/plain", purpose="assistants")
    assert refused.value.body == {
        "message": said(tenant, 100),
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    made = await client.uploads.create(filename="a.txt", bytes=60, mime_type="text/plain", purpose="assistants")
    part = await client.uploads.parts.create(made.id, data=b"x" * 60)
    file = await client.files.create(file=("b.txt", b"x" * 41), purpose="assistants")

    with pytest.raises(openai.BadRequestError):
        await client.uploads.complete(made.id, part_ids=[part.id])
    await client.files.delete(file.id)
    assert (await client.uploads.complete(made.id, part_ids=[part.id])).status == "completed"
    assert stored(tenant) == 60


async def test_runs_beyond_those_at_once_wait_and_others_dont(tenant: Tenant, model: ScriptedModel) -> None:
    """Of one project; what is limited in another doesn't hold up this one. The limit is lifted while they wait."""
    gate = Gate()
    name = model.script(*[Say(["One ", gate, "two."])] * 6)
    client = tenant.project.client.beta
    assistant = await client.assistants.create(model=name)
    await tenant.limit(max_concurrent_runs=2)
    for _ in range(4):
        await client.threads.create_and_run(assistant_id=assistant.id)
    await model.requested(name, 2)

    other = model.script(Say("Here."))
    key = await tenant.system.key(f"{tenant.id}-neighbour")
    async with openai.AsyncOpenAI(base_url=tenant.system.base_url, api_key=key) as neighbour:
        theirs = await neighbour.beta.assistants.create(model=other)
        done = await neighbour.beta.threads.create_and_run_poll(assistant_id=theirs.id, poll_interval_ms=20)
    assert done.status == "completed"
    states = "SELECT status, count(*) FROM runs WHERE project_id = %s GROUP BY status ORDER BY status"
    assert tenant.system.query(states, tenant.id) == [("in_progress", 2), ("queued", 2)]

    await tenant.limit(max_concurrent_runs=None)
    await model.requested(name, 4)
    gate.open()
    await until(lambda: tenant.system.query(states, tenant.id) == [("completed", 4)])
