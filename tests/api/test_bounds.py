"""What strangers and careless clients send stays cheap, and what is refused leaves nothing behind."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import http
from tests.scripted_model import CallFunctions, Fail, Say, ScriptedModel
from tests.system import Project, System, until


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


def files_named(system: System, pattern: str) -> list[Path]:
    return [path for path in Path(system.root / "data" / "files").rglob(pattern) if path.is_file()]


def blobs(system: System) -> set[Path]:
    """What other tests left may go at any moment."""
    return set(files_named(system, "*"))


async def test_without_a_key_no_body_is_read(project: Project) -> None:
    """Whoever reads this one to its end answers 413."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 1024 * 1024

    async with http.stranger(project) as stranger:
        answer = await stranger.post("/assistants", content=endless(), headers={"content-type": "application/json"})

    assert answer.status_code == 401


async def test_a_million_unknown_fields_are_refused_at_the_first(client: httpx2.AsyncClient) -> None:
    body = {f"field-{number}": 1 for number in range(400_000)}

    began = time.monotonic()
    answer = await client.post("/assistants", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unknown_parameter"
    assert time.monotonic() - began < 5


async def test_a_long_thread_is_told_in_part(project: Project, model: ScriptedModel) -> None:
    """The newest part, within what a model could take; the run is neither slow nor stuck."""
    name = model.script(Say("Fine."))
    assistant = await project.client.beta.assistants.create(model=name)
    thread = await project.client.beta.threads.create()
    noise = [str(number) for number in range(40_000)]
    for number in range(30):
        text = f"{number} " + " ".join(noise[number::2])
        await project.client.beta.threads.messages.create(thread.id, role="user", content=text[:40_000])

    run = await project.client.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=50
    )

    assert run.status == "completed"
    told = (await model.requested(name)).messages
    assert told[-1]["content"].startswith("29 ")
    assert 1 < len(told) < 30  # as much as fits into CONTEXT_TOKENS


@pytest.mark.parametrize("filename", ["a\0b.txt", "x" * 600, "a\ud800b"])
async def test_refused_uploads_leave_no_bytes(client: httpx2.AsyncClient, system: System, filename: str) -> None:
    before = blobs(system)
    quoted = filename.encode("unicode_escape").decode() if "\ud800" in filename else filename
    kind = "multipart/form-data; boundary=x" + ("; charset=unicode_escape" if "\ud800" in filename else "")
    body = (
        f'--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
        f'--x\r\ncontent-disposition: form-data; name="file"; filename="{quoted}"\r\n\r\ncontent\r\n--x--\r\n'
    )

    answer = await client.post("/files", content=body.encode(), headers={"content-type": kind})

    assert answer.status_code == 400, answer.text
    assert not blobs(system) - before


async def test_odd_names_do_not_spoil_downloads(project: Project) -> None:
    for name in ("data:中/x,a", "no suffix", "päth/../../etc/passwd", 'quote".txt', "line\nbreak.txt"):
        made = await project.client.files.create(file=(name, b"content"), purpose="assistants")
        assert (await project.client.files.content(made.id)).content == b"content"


async def test_a_file_whose_bytes_are_gone_is_not_found(
    project: Project, system: System, client: httpx2.AsyncClient
) -> None:
    made = await project.client.files.create(file=("a.txt", b"content"), purpose="assistants")
    (blob,) = files_named(system, made.id)
    await asyncio.to_thread(blob.unlink)

    assert (await client.get(f"/files/{made.id}/content")).status_code == 404


async def test_what_an_endpoint_says_oddly_is_stored_all_the_same(project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("na\0me", {})]))
    assistant = await project.client.beta.assistants.create(
        model=name, tools=[{"type": "function", "function": {"name": "name"}}]
    )

    run = await project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)

    assert run.status == "requires_action"
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert call.function.name == "na\N{REPLACEMENT CHARACTER}me"


async def test_an_endpoints_error_is_passed_on_cut_and_clean(project: Project, model: ScriptedModel) -> None:
    name = model.script(Fail(400, "bad \ud800 " + "x" * 5000))
    assistant = await project.client.beta.assistants.create(model=name)

    run = await project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)

    assert run.status == "failed"
    assert run.last_error is not None
    assert run.last_error.code == "invalid_prompt"
    assert len(run.last_error.message) < 700
    assert len(model.requests(name)) == 1


async def test_the_endpoints_key_is_not_shown_to_tenants(project: Project, model: ScriptedModel) -> None:
    assistant = await project.client.beta.assistants.create(model=model.script(Fail(401, "bad key sk-operators-own")))

    run = await project.client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)

    assert run.last_error is not None
    assert "sk-operators-own" not in run.last_error.message


async def test_an_assistants_format_can_be_set_back_for_a_run(project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("{}"), Say("Hi."))
    assistant = await project.client.beta.assistants.create(model=name, response_format={"type": "json_object"})

    for options in ({}, {"response_format": "auto"}):
        arguments: Any = options
        await project.client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id, poll_interval_ms=20, **arguments
        )

    first, again = model.requests(name)
    assert first.body["response_format"] == {"type": "json_object"}
    assert "response_format" not in again.body


async def test_a_prompt_beyond_its_budget_leaves_the_run_incomplete(project: Project, model: ScriptedModel) -> None:
    """A token of the scripted model is a word."""
    name = model.script(Say("Well."))
    assistant = await project.client.beta.assistants.create(model=name)

    run = await project.client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        max_prompt_tokens=256,
        thread={"messages": [{"role": "user", "content": "word " * 300}]},
        poll_interval_ms=20,
    )

    assert run.status == "incomplete"
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == "max_prompt_tokens"


async def test_expired_files_are_forgotten(project: Project, system: System) -> None:
    made = await project.client.files.create(
        file=("a.txt", b"content"), purpose="assistants", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at == made.created_at + 3600

    system.query("UPDATE files SET expires_at = now() - interval '1 second' WHERE id = %s", made.id)

    def gone() -> bool:
        return not system.query("SELECT id FROM files WHERE id = %s", made.id) and not files_named(system, made.id)

    await until(gone)
