"""In which role rows are written while a whole system works: what is done for a project is done within it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg import sql

from infra.embedded.postgres import Postgres
from tests import http
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import Project as Tenant
from tests.system import System, create_database, redis_apart, until
from tests.tenancy.rows import walled
from tests.vector_stores import POLL_MS, store_of

TENANT = "assistantd_tenant"

# Whoever writes a row is noted with it, in the same transaction.
_NOTING = (
    'CREATE TABLE writes ("table" text, what text, role text, project text)',
    f"GRANT INSERT ON writes TO {TENANT}",
    """CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO writes VALUES (TG_TABLE_NAME, TG_OP, current_user, current_setting('assistantd.project', true));
      RETURN NULL;
    END $$""",
)
_NOTE = "CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW EXECUTE FUNCTION note_write()"

OF_ALL = {
    ("runs", "UPDATE"),  # they are claimed, and their leases renewed
    ("vector_store_files", "UPDATE"),  # likewise
    ("uploads", "UPDATE"),  # what is left of those that have ended is swept
    ("upload_parts", "DELETE"),
    ("usage_facts", "DELETE"),  # they are added up
    ("usage_minutes", "INSERT"),
    ("usage_minutes", "UPDATE"),
    ("usage_of_assistants", "INSERT"),
    ("usage_of_assistants", "UPDATE"),
    ("usage_bytes", "INSERT"),
    ("projects", "INSERT"),  # they are made, as their keys are, by the administration
    ("service_accounts", "INSERT"),
    ("audit_entries", "INSERT"),  # which notes that
    ("data_keys", "INSERT"),  # no request sees one: the vault seals and opens with them
    ("api_keys", "INSERT"),
    ("api_keys", "UPDATE"),  # when they are used
}
"""What the system writes by itself; everything else is somebody's own doing."""

OF_TENANTS = {
    "assistants",
    "threads",
    "thread_activity",
    "messages",
    "runs",
    "run_steps",
    "files",
    "uploads",
    "upload_parts",
    "idempotency_keys",
    "vector_stores",
    "vector_store_batches",
    "vector_store_files",
    "chunks",
    "passages",
    "usage_facts",
}
"""What is written in these tests."""


@pytest.fixture
async def embeddings() -> AsyncIterator[ScriptedEmbeddings]:
    scripted = ScriptedEmbeddings("tower height")
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
def noted(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, embeddings: ScriptedEmbeddings
) -> Iterator[System]:
    """A system of its own whose database notes who writes."""
    root = room / "noted"
    root.mkdir()
    url = create_database(postgres.url, "noted")
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _NOTING:
            connection.execute(statement.encode())
        for table in walled():
            connection.execute(sql.SQL(_NOTE).format(sql.Identifier(table.name)))
    settings = {"ASSISTANTD_EMBEDDING_BASE_URL": embeddings.base_url, "ASSISTANTD_EMBEDDING_MODEL": "scripted"}
    made = System(root, url, redis_apart(redis_url), model.base_url, settings)
    made.start()
    yield made
    made.stop()


async def work(tenant: Tenant, model: ScriptedModel) -> None:
    """Something of all that a project does."""
    client = tenant.client
    store, _ = await store_of(client, tower="The tower is 324 metres tall.")
    name = model.script(CallFunctions([("file_search", {"queries": ["tower"]})]), Say("324 metres."))
    assistant = await client.beta.assistants.create(
        model=name, tools=[{"type": "file_search"}], tool_resources={"file_search": {"vector_store_ids": [store]}}
    )
    question: Any = [{"role": "user", "content": "How tall?"}]
    run = await client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": question}, poll_interval_ms=POLL_MS
    )
    assert run.status == "completed", run.last_error
    upload = await client.uploads.create(bytes=4, filename="four.txt", mime_type="text/plain", purpose="assistants")
    part = await client.uploads.parts.create(upload.id, data=b"four")
    await client.uploads.complete(upload.id, part_ids=[part.id])
    async with http.session(tenant) as session:
        again = await session.post("/assistants", json={"model": name}, headers={"idempotency-key": "one"})
        assert again.status_code == 200, again.text


def blobs(system: System) -> set[str]:
    """What there is in the file store, by its names."""
    return {path.name for path in (system.root / "data" / "files").rglob("*") if path.is_file()}


def of_redis(system: System) -> set[str]:
    """What there is in Redis, by its names."""
    with redis.Redis.from_url(system.redis_url, decode_responses=True) as client:
        return set(map(str, client.scan_iter()))


async def test_what_is_done_for_a_project_is_done_within_it(noted: System, model: ScriptedModel) -> None:
    for _ in range(2):
        async with Tenant.of(noted) as tenant:
            await work(tenant, model)
    written = noted.query('SELECT DISTINCT "table", what, role, project FROM writes')

    by_the_system = {(table, what) for table, what, role, _ in written if role != TENANT}
    assert by_the_system <= OF_ALL
    by_tenants = {(table, project) for table, _, role, project in written if role == TENANT}
    projects = {project for (project,) in noted.query("SELECT id FROM projects")}
    assert {project for _, project in by_tenants} == projects
    assert len(projects) == 2
    assert {table for table, _ in by_tenants} == OF_TENANTS

    # What is in no table is known by an id, which nobody can guess, of a row that is behind the wall.
    await until(lambda: blobs(noted) == {key for (key,) in noted.query("SELECT id FROM files")})  # parts are swept
    logs = {key for key in of_redis(noted) if not key.startswith(("_kombu", "celery", "unacked"))}
    assert logs == {f"ev:{run_id}" for (run_id,) in noted.query("SELECT id FROM runs")}
