"""A process dies at each named point, between a commit and what follows it; the others carry on.

Whatever had been accepted is done, once, by whoever is left; whatever had not been answered may be asked again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIConnectionError, BadRequestError
from openai.types.beta.threads import Run

from infra.embedded.postgres import Postgres
from shared.crashpoints import POINTS
from tests.scripted_model import CallFunctions, Gate, Say, ScriptedModel
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import Process, Project, System, create_database, redis_apart, until

FUNCTION: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SMALL_CHUNKS: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
FILE_POINTS = ("file.claimed", "file.partly_read", "file.read", "file.partly_embedded", "file.settled")
CROSSED: set[str] = set()


@pytest.fixture(scope="module")
async def embeddings() -> AsyncIterator[ScriptedEmbeddings]:
    scripted = ScriptedEmbeddings()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture(scope="module")
def system(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, embeddings: ScriptedEmbeddings
) -> Iterator[System]:
    """An API process and a worker that stay alive; each test adds one that is to die."""
    root = room / "crashpoints"
    root.mkdir()
    url = create_database(postgres.url, "crashpoints")
    apart = redis_apart(redis_url)
    settings = {
        "ASSISTANTD_LEASE_DURATION": "2",
        "ASSISTANTD_DRAIN_TIMEOUT": "1",
        "ASSISTANTD_EMBEDDING_BASE_URL": embeddings.base_url,
        "ASSISTANTD_EMBEDDING_MODEL": "scripted",
    }
    made = System(root, url, apart, model.base_url, settings)
    made.spawn_api().wait_until_ready()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant


async def dies(process: Process, point: str) -> None:
    """The process has been killed, by itself."""
    assert await asyncio.to_thread(process.popen.wait, 20) == -9, process.tail()
    CROSSED.add(point)


def doomed_worker(system: System, point: str) -> Process:
    process = system.spawn_worker(crash_at=point)
    process.wait_until_ready()
    return process


def survivor(system: System) -> None:
    system.spawn_worker().wait_until_ready()


@pytest.fixture(autouse=True)
def _no_workers_left(system: System) -> Iterator[None]:
    yield
    system.stop_workers()


async def start(project: Project, model: str, **assistant: Any) -> Run:
    made = await project.client.beta.assistants.create(model=model, **assistant)
    return await project.client.beta.threads.create_and_run(assistant_id=made.id)


async def ended(project: Project, run: Run) -> Run:
    return await project.client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=50)


async def answers(project: Project, thread_id: str) -> list[str]:
    found = await project.client.beta.threads.messages.list(thread_id, order="asc")
    return [m.content[0].text.value for m in found.data if m.role == "assistant"]  # type: ignore[union-attr]


@pytest.mark.parametrize("point", ["run.claimed", "answer.heard", "run.settled", "run.announced"])
async def test_a_worker_dies(project: Project, model: ScriptedModel, system: System, point: str) -> None:
    """[RUN-1] [RUN-2] [RUN-3]: only the call in flight may be repeated."""
    name = model.script(Say("Once."), *([Say("Once.")] if point == "answer.heard" else []))
    worker = doomed_worker(system, point)
    run = await start(project, name)
    await dies(worker, point)
    survivor(system)

    assert (await ended(project, run)).status == "completed"
    assert await answers(project, run.thread_id) == ["Once."]
    assert model.remaining(name) == 0


@pytest.mark.parametrize("point", ["calls.recorded", "outputs.recorded"])
async def test_a_worker_dies_over_a_tool_of_ours(
    project: Project, model: ScriptedModel, system: System, point: str
) -> None:
    """[RUN-2] [RUN-3]: the model is not asked again for calls that are recorded, nor a tool for recorded outputs."""
    name = model.script(CallFunctions([("file_search", {"queries": ["anything"]})]), Say("Once."))
    worker = doomed_worker(system, point)
    run = await start(project, name, tools=[{"type": "file_search"}])
    await dies(worker, point)
    survivor(system)

    done = await ended(project, run)

    assert done.status == "completed"
    assert done.usage is not None
    steps = (await project.client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc")).data
    assert [(step.type, step.status) for step in steps] == [
        ("tool_calls", "completed"),
        ("message_creation", "completed"),
    ]
    assert done.usage.total_tokens == sum(step.usage.total_tokens for step in steps if step.usage)
    assert [message["role"] for message in model.requests(name)[1].messages[-2:]] == ["assistant", "tool"]
    assert await answers(project, run.thread_id) == ["Once."]
    assert model.remaining(name) == 0


async def test_a_sweeper_dies(project: Project, model: ScriptedModel, system: System) -> None:
    """[RUN-1]: after it has queued a dead worker's run again, before it could ring."""
    hold = Gate()
    first = system.spawn_worker()
    first.wait_until_ready()
    run = await start(project, model.script(Say(["On", hold, "never"]), Say("Once.")))
    await hold.reached()
    sweeper = doomed_worker(system, "run.requeued")
    await asyncio.to_thread(first.kill)
    await dies(sweeper, "run.requeued")
    survivor(system)

    assert (await ended(project, run)).status == "completed"
    assert await answers(project, run.thread_id) == ["Once."]


async def test_whoever_promotes_dies(project: Project, model: ScriptedModel, system: System) -> None:
    """[RUN-1] [RUN-5]: after a queued run's turn has come, before it was rung for."""
    hold = Gate()
    worker = doomed_worker(system, "run.promoted")
    first = await start(project, model.script(Say(["One", hold, "."]), Say("Two.")))
    await hold.reached()
    second = await project.client.beta.threads.runs.create(
        first.thread_id, assistant_id=first.assistant_id, extra_body={"assistantd": {"when_busy": "enqueue"}}
    )
    hold.open()
    await dies(worker, "run.promoted")
    survivor(system)

    assert (await ended(project, second)).status == "completed"
    assert await answers(project, first.thread_id) == ["One.", "Two."]


@pytest.fixture
async def doomed_api(system: System, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Process, Project, Project]]:
    """An API process that dies at the test's point, the same tenant's clients of it and of the one that stays."""
    alive = system.base_url
    process = system.spawn_api(crash_at=request.param)
    process.wait_until_ready()
    key = await system.key("doomed")
    async with Project.known(system, key) as victim:
        system.base_url = alive
        async with Project.known(system, key) as left:
            yield process, victim, left


@pytest.mark.parametrize("doomed_api", ["run.created", "run.rung"], indirect=True)
async def test_an_api_process_dies_after_a_run_is_committed(
    doomed_api: tuple[Process, Project, Project], model: ScriptedModel, system: System, request: pytest.FixtureRequest
) -> None:
    """[RUN-1]: the client got no answer, and the run is done all the same, once."""
    process, victim, left = doomed_api
    thread = await left.client.beta.threads.create()
    assistant = await left.client.beta.assistants.create(model=model.script(Say("Once.")))
    with pytest.raises(APIConnectionError):
        await victim.client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    await dies(process, request.node.callspec.params["doomed_api"])
    survivor(system)

    (run,) = (await left.client.beta.threads.runs.list(thread.id)).data
    assert (await ended(left, run)).status == "completed"
    assert await answers(left, thread.id) == ["Once."]


@pytest.mark.parametrize("doomed_api", ["outputs.submitted"], indirect=True)
async def test_an_api_process_dies_after_outputs_are_committed(
    doomed_api: tuple[Process, Project, Project], model: ScriptedModel, system: System
) -> None:
    """[RUN-1] [RUN-2]."""
    process, victim, left = doomed_api
    survivor(system)
    run = await ended(left, await start(left, model.script(CallFunctions([("f", {})]), Say("Done.")), tools=[FUNCTION]))
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls

    with pytest.raises(APIConnectionError):
        await victim.client.beta.threads.runs.submit_tool_outputs(
            run.id, thread_id=run.thread_id, tool_outputs=[{"tool_call_id": call.id, "output": "x"}]
        )
    await dies(process, "outputs.submitted")

    await until(lambda: system.query("SELECT status FROM runs WHERE id = %s", run.id) == [("completed",)])
    assert await answers(left, run.thread_id) == ["Done."]


@pytest.mark.parametrize("doomed_api", ["cancel.requested"], indirect=True)
async def test_an_api_process_dies_after_a_cancel_is_committed(
    doomed_api: tuple[Process, Project, Project], model: ScriptedModel, system: System
) -> None:
    """[RUN-6]: the worker finds it with its next heartbeat."""
    process, victim, left = doomed_api
    survivor(system)
    hold = Gate()
    run = await start(left, model.script(Say(["One", hold, "two"])))
    await hold.reached()

    with pytest.raises(APIConnectionError):
        await victim.client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    await dies(process, "cancel.requested")

    await until(lambda: system.query("SELECT status FROM runs WHERE id = %s", run.id) == [("cancelled",)])


@pytest.mark.parametrize("doomed_api", ["upload.joined", "upload.completed"], indirect=True)
async def test_an_api_process_dies_while_it_completes_an_upload(
    doomed_api: tuple[Process, Project, Project], system: System, request: pytest.FixtureRequest
) -> None:
    """Before the commit the upload is as it was, and can be completed; after it the file is there."""
    process, victim, left = doomed_api
    point = request.node.callspec.params["doomed_api"]
    facts: Any = {"purpose": "assistants", "mime_type": "text/plain"}
    upload = await left.client.uploads.create(filename=f"{point}.txt", bytes=6, **facts)
    parts = [(await left.client.uploads.parts.create(upload.id, data=data)).id for data in (b"one", b"two")]

    with pytest.raises(APIConnectionError):
        await victim.client.uploads.complete(upload.id, part_ids=parts)
    await dies(process, point)

    if point == "upload.joined":
        await left.client.uploads.complete(upload.id, part_ids=parts)
    else:
        with pytest.raises(BadRequestError, match="is completed"):
            await left.client.uploads.complete(upload.id, part_ids=parts)
    (file,) = [file for file in (await left.client.files.list()).data if file.filename == upload.filename]
    assert (await left.client.files.content(file.id)).content == b"onetwo"
    survivor(system)
    await until(lambda: system.query("SELECT count(*) FROM upload_parts WHERE upload_id = %s", upload.id) == [(0,)])


@pytest.mark.parametrize("point", FILE_POINTS)
async def test_a_worker_dies_over_a_file(project: Project, system: System, point: str) -> None:
    """The file is read once, by whoever is left; what was committed stays."""
    worker = doomed_worker(system, point)
    store = await project.client.vector_stores.create()
    content = b"Apples keep for months. " * 2000  # 100 chunks of 100 tokens, a batch and more
    uploaded = await project.client.files.create(file=("a.txt", content), purpose="assistants")
    await project.client.vector_stores.files.create(store.id, file_id=uploaded.id, chunking_strategy=SMALL_CHUNKS)
    await dies(worker, point)
    survivor(system)

    polled = await project.client.vector_stores.files.poll(uploaded.id, vector_store_id=store.id, poll_interval_ms=50)
    chunks = "SELECT string_agg(text, '' ORDER BY position) FROM chunks JOIN vector_store_files USING (ingestion)"
    assert polled.status == "completed"
    assert system.query(f"{chunks} WHERE id = %s", uploaded.id) == [(content.decode(),)]
    with_vectors = "SELECT count(*), (SELECT count(*) FROM passages WHERE vector_store_id = %s) FROM chunks"
    spoken = "WHERE vector_store_id = %s AND btrim(text) <> ''"
    assert len(set(*system.query(f"{with_vectors} {spoken}", store.id, store.id))) == 1
    attempts = "SELECT attempts FROM vector_store_files WHERE id = %s"
    assert system.query(attempts, uploaded.id) == [(0 if point == "file.settled" else 1,)]


async def test_two_workers_die_in_the_middle_of_one_file(project: Project, system: System) -> None:
    """Chunks neither missing nor doubled, and the file is read by whoever comes third."""
    store = await project.client.vector_stores.create()
    content = b"Pears don't keep for months. " * 2000
    uploaded = await project.client.files.create(file=("a.txt", content), purpose="assistants")
    first = doomed_worker(system, "file.partly_read")
    await project.client.vector_stores.files.create(store.id, file_id=uploaded.id, chunking_strategy=SMALL_CHUNKS)
    await dies(first, "file.partly_read")
    await dies(doomed_worker(system, "file.partly_read"), "file.partly_read")
    survivor(system)

    polled = await project.client.vector_stores.files.poll(uploaded.id, vector_store_id=store.id, poll_interval_ms=50)
    assert polled.status == "completed"
    joined = "SELECT string_agg(text, '' ORDER BY position), count(*) FROM chunks WHERE vector_store_id = %s"
    found = system.query(joined, store.id)
    vectors = system.query("SELECT count(*) FROM passages WHERE vector_store_id = %s", store.id)
    told = system.query("SELECT attempts, chunks FROM vector_store_files WHERE id = %s", uploaded.id)
    assert found[0][0] == content.decode()
    assert told == [(2, found[0][1])]
    assert vectors == system.query(
        "SELECT count(*) FROM chunks WHERE vector_store_id = %s AND btrim(text) <> ''", store.id
    )


def test_every_point_was_crossed(request: pytest.FixtureRequest) -> None:
    """Last of the module; meaningful only when all of it was run."""
    if len(request.session.items) < len(POINTS):
        pytest.skip("only some of the module's tests were chosen")
    assert set(POINTS) == CROSSED
