"""Each malformed request is told what is wrong, where, and in the original's words; and nothing of it is done."""

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass

import httpx2
import psycopg
import pytest

from tests import http
from tests.api.malformed import TABLE
from tests.api.malformed.request import Malformed
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System

TABLES = (
    "assistants",
    "threads",
    "messages",
    "runs",
    "run_steps",
    "files",
    "uploads",
    "upload_parts",
    "vector_stores",
    "vector_store_files",
    "vector_store_batches",
)
FINGERPRINT = " UNION ALL ".join(
    f"SELECT md5(string_agg(row::text, '' ORDER BY id)) FROM {table} AS row WHERE project_id = %s" for table in TABLES
)


@dataclass(frozen=True)
class Stage:
    """A project with one of everything, which malformed requests are about, and a session in it."""

    client: httpx2.AsyncClient
    database: psycopg.Connection
    project_id: str
    names: dict[str, str]

    def named(self, text: str) -> str:
        """The text with the ids of what is on the stage in it."""
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def rows(self) -> list[tuple[str | None]]:
        """A fingerprint of all that the project has."""
        return self.database.execute(FINGERPRINT, [self.project_id] * len(TABLES)).fetchall()


@pytest.fixture(scope="module")
async def stage(system: System, model: ScriptedModel) -> AsyncIterator[Stage]:
    """The runs on it are over, or wait for outputs: nobody changes anything while the tests look."""
    name = model.script(Say("Hello."), CallFunctions([("look", {})]))
    async with Project.of(system) as project, http.session(project) as client:
        beta = project.client.beta
        assistant = await beta.assistants.create(model=name)
        file = await project.client.files.create(file=("a.txt", b"content"), purpose="assistants")
        run = await beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
        waiting = await beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
        (message,) = (await beta.threads.messages.list(run.thread_id)).data
        (step,) = (await beta.threads.runs.steps.list(run.id, thread_id=run.thread_id)).data
        assert waiting.required_action is not None
        upload = await project.client.uploads.create(
            filename="b.txt", bytes=1, mime_type="text/plain", purpose="assistants"
        )
        part = await project.client.uploads.parts.create(upload.id, data=b"b")
        store = await project.client.vector_stores.create()
        batch = await project.client.vector_stores.file_batches.create_and_poll(
            store.id, file_ids=[file.id], poll_interval_ms=20
        )
        names = {
            "assistant": assistant.id,
            "file": file.id,
            "thread": run.thread_id,
            "run": run.id,
            "message": message.id,
            "step": step.id,
            "waiting_thread": waiting.thread_id,
            "waiting": waiting.id,
            "upload": upload.id,
            "part": part.id,
            "store": store.id,
            "batch": batch.id,
            "call": waiting.required_action.submit_tool_outputs.tool_calls[0].id,
        }
        ((project_id,),) = system.query("SELECT project_id FROM threads WHERE id = %s", run.thread_id)
        with psycopg.connect(system.database_url, autocommit=True) as database:
            yield Stage(client, database, project_id, names)


@pytest.mark.parametrize("row", TABLE, ids=str)
async def test_it_is_refused(stage: Stage, row: Malformed) -> None:
    before = stage.rows()
    content = row.content if b"{" not in row.content else stage.named(row.content.decode("latin-1")).encode("latin-1")

    answer = await stage.client.request(row.method, stage.named(row.path), content=content, headers=row.headers)

    expected = {**asdict(row.refusal), "type": "invalid_request_error", "message": stage.named(row.refusal.message)}
    assert {"status": answer.status_code, **answer.json()["error"]} == expected
    assert stage.rows() == before


def test_the_table_is_as_long_as_it_looks() -> None:
    """A row that is sent twice hides one that was meant."""
    sent = {(row.method, row.path, row.content, tuple(sorted(row.headers.items()))) for row in TABLE}

    assert len(sent) == len(TABLE)
