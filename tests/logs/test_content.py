"""What clients say, what models answer and what opens doors is in no log, whatever goes wrong; ids are."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, AuthenticationError, BadRequestError

from infra.embedded.postgres import Postgres
from tests.sandbox.service import SandboxService, lent
from tests.scripted_model import Break, CallFunctions, Fail, Say, ScriptedModel, StreamError
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import Project, System, create_database, redis_apart, until
from tests.vector_stores import POLL_MS, upload

CANARY = "xylophone"
"""In everything that is content: a message, a name, an argument, a file, code, an error's text."""


@pytest.fixture(scope="module")
def service() -> Iterator[SandboxService]:
    with lent(warm=1, memory_mb=512) as started:
        yield started


@pytest.fixture(scope="module")
async def embeddings() -> AsyncIterator[ScriptedEmbeddings]:
    made = ScriptedEmbeddings()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="module")
def system(
    room: Path,
    postgres: Postgres,
    redis_url: str,
    model: ScriptedModel,
    service: SandboxService,
    embeddings: ScriptedEmbeddings,
) -> Iterator[System]:
    root = room / "logged"
    root.mkdir()
    settings = {
        "ASSISTANTD_LOG_FORMAT": "json",
        "ASSISTANTD_LOG_LEVEL": "debug",
        "ASSISTANTD_MODEL_PAUSE": "0",
        "ASSISTANTD_MODEL_API_KEY": f"sk-upstream-{CANARY}",
        "ASSISTANTD_EMBEDDING_BASE_URL": embeddings.base_url,
        "ASSISTANTD_EMBEDDING_API_KEY": f"sk-embeddings-{CANARY}",
        "ASSISTANTD_EMBEDDING_MODEL": "scripted",
        "ASSISTANTD_SANDBOX_URL": service.url,
        "ASSISTANTD_SANDBOX_SECRET": service.secret,
    }
    url = create_database(postgres.url, "logged")
    made = System(root, url, redis_apart(redis_url), model.base_url, settings)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> Any:
    async with Project.of(system) as tenant:
        yield tenant


async def run(project: Project, name: str, **params: Any) -> Any:
    assistant = await project.client.beta.assistants.create(
        model=name, instructions=f"Play the {CANARY}.", metadata={"what": CANARY}, **params
    )
    thread: Any = {"messages": [{"role": "user", "content": f"Do you play the {CANARY}?"}]}
    return await project.client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread=thread, poll_interval_ms=20
    )


async def everything(project: Project, model: ScriptedModel, embeddings: ScriptedEmbeddings) -> dict[str, Any]:
    """Runs, files, searches and code, in order and out of order; the runs by what became of them."""
    function: Any = {"type": "function", "function": {"name": "play", "parameters": {"type": "object"}}}
    code: Any = {"type": "code_interpreter"}
    ended = {
        "answered": await run(project, model.script(Say(f"I play the {CANARY}."))),
        "refused": await run(project, model.script(Fail(400, f"no {CANARY} here"))),
        "forbidden": await run(project, model.script(Fail(401, f"sk-upstream-{CANARY} is wrong"))),
        "away": await run(project, model.script(*[Fail(500, f"the {CANARY} is broken")] * 4)),
        "broken off": await run(project, model.script(Break(Say(["The ", CANARY, "!"]), 2))),
        "stumbled": await run(project, model.script(StreamError(Say(["The ", CANARY, "!"]), 2, f"the {CANARY} fell"))),
        "calls": await run(project, model.script(CallFunctions([("play", {"what": CANARY})])), tools=[function]),
        "code": await run(
            project,
            model.script(
                CallFunctions([("code_interpreter", {"code": f"raise ValueError('{CANARY}')"})]),
                CallFunctions([("code_interpreter", {"code": f"{CANARY} = 1\nimport os; os._exit(3)"})]),
                Say("It broke."),
            ),
            tools=[code],
        ),
    }
    store = await project.client.vector_stores.create(name=CANARY)
    text, broken = f"The {CANARY} has bars of wood.".encode(), b"%PDF-1.7 " + CANARY.encode()
    for name, content in ((f"{CANARY}.txt", text), (f"{CANARY}.pdf", broken)):
        file_id = await upload(project.client, content, name)
        await project.client.vector_stores.files.create_and_poll(
            file_id, vector_store_id=store.id, poll_interval_ms=POLL_MS
        )
    embeddings.away = True
    await project.client.vector_stores.search(store.id, query=f"Where is the {CANARY}?")
    search = CallFunctions([("file_search", {"queries": [CANARY]})])
    resources: Any = {"file_search": {"vector_store_ids": [store.id]}}
    ended["search"] = await run(
        project, model.script(search, Say("Here.")), tools=[{"type": "file_search"}], tool_resources=resources
    )
    with pytest.raises(BadRequestError):
        await project.client.beta.threads.create(metadata={CANARY: CANARY * 100})
    with pytest.raises(APIStatusError):
        await project.client.beta.threads.retrieve(f"thread_{CANARY}")
    with pytest.raises(AuthenticationError):
        await project.client.with_options(api_key=f"sk-{CANARY}").models.list()
    return ended | {"store": store}


async def test_no_content_and_no_key_is_logged_but_every_id_is(
    project: Project,
    model: ScriptedModel,
    embeddings: ScriptedEmbeddings,
    system: System,
    service: SandboxService,
) -> None:
    ended = await everything(project, model, embeddings)

    assert ended["answered"].status == "completed"
    assert ended["code"].status == ended["search"].status == "completed"
    failed = [name for name, run in ended.items() if name != "store" and run.status == "failed"]
    assert failed == ["refused", "forbidden", "away", "broken off", "stumbled"]
    worker, api = (next(p.log for p in system.processes if p.log.name.startswith(name)) for name in ("worker", "api"))
    await until(lambda: worker.read_text().count('"run.settled"') >= len(ended) - 1)

    written = {log.name: log.read_text() for log in (worker, api, service.log)}
    password = system.database_url.split(":")[2].split("@")[0]
    for name, text in written.items():
        assert text or name != worker.name
        for secret in (CANARY, project.key, password, service.secret):
            assert secret not in text, [line for line in text.splitlines() if secret in line][:3]
    for log in (worker, api):
        assert [line for line in written[log.name].splitlines() if not line.startswith("{")] == []
    told = [json.loads(line) for line in written[worker.name].splitlines()]
    settled = {line["run_id"]: line for line in told if line["event"] == "run.settled"}
    for name, one in ended.items():
        if name != "store":
            assert settled[one.id]["thread_id"] == one.thread_id
            assert settled[one.id]["project_id"].startswith("proj_")
    of_files = [line for line in told if line["event"] == "file.settled"]
    assert {(line["vector_store_id"], line["status"]) for line in of_files} == {
        (ended["store"].id, "completed"),
        (ended["store"].id, "failed"),
    }
    assert all(line["project_id"].startswith("proj_") and line["file_id"] for line in of_files)
    (searched,) = (json.loads(line) for line in written[api.name].splitlines() if "search.by_words_alone" in line)
    assert searched["request_id"].startswith("req_")
    assert searched["vector_store_id"] == ended["store"].id
    assert searched["project_id"] == of_files[0]["project_id"]
