"""A roll-out runs one release's code on the next one's schema: migrations add, and code doesn't mind what was added."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from alembic import command
from psycopg import sql

from infra.embedded.postgres import Postgres
from shared.migrations import config
from tests.scripted_model import Say, ScriptedModel
from tests.system import Project, System, create_database, redis_apart
from tests.vector_stores import POLL_MS, store_of

RELEASED = "0013"
"""The newest migration of the newest release: what comes after it has to bear that release's code. Before the first one
it is the newest that took something away."""

CONTRACTIONS = [
    ("ALTER TABLE runs DROP COLUMN metadata", "runs.metadata is gone"),
    ("DROP TABLE upload_parts", "upload_parts.upload_id is gone"),
    ("ALTER TABLE runs RENAME COLUMN model TO model_name", "runs.model is gone"),
    ("ALTER TABLE files ALTER COLUMN bytes TYPE int", "files.bytes is integer, and was bigint"),
    ("ALTER TABLE runs ALTER COLUMN usage SET NOT NULL", "runs.usage must not be null any more"),
    ("ALTER TABLE threads ADD COLUMN owner text NOT NULL", "threads.owner is needed"),
    ("ALTER TABLE threads ADD CONSTRAINT short CHECK (length(id) < 99)", "threads has a new condition: short"),
    ("CREATE UNIQUE INDEX one_name ON files (filename)", "files has a new condition: one_name"),
]

_COLUMNS = """
SELECT table_name || '.' || column_name, data_type, is_nullable = 'YES',
  column_default IS NOT NULL OR is_identity = 'YES'
FROM information_schema.columns WHERE table_schema = 'public'"""

# That a column must not be null is told by the column: Postgres 18 has a constraint for it as well.
_CONDITIONS = """
SELECT CAST(CAST(conrelid AS regclass) AS text), conname FROM pg_constraint
WHERE connamespace = CAST('public' AS regnamespace) AND conrelid <> 0 AND contype <> 'n'
UNION SELECT CAST(CAST(indrelid AS regclass) AS text), relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indisunique AND relnamespace = CAST('public' AS regnamespace)"""


class Column(NamedTuple):
    """What code that writes a row has to know of it."""

    type: str
    may_be_null: bool
    has_default: bool


class Schema(NamedTuple):
    """What code may rely on, and what it has to fulfil."""

    columns: dict[str, Column]
    conditions: set[tuple[str, str]]

    @classmethod
    def of(cls, url: str) -> "Schema":
        """That of a database."""
        with psycopg.connect(url) as connection:
            columns = {name: Column(*facts) for name, *facts in connection.execute(_COLUMNS).fetchall()}
            return cls(columns, {(table, name) for table, name in connection.execute(_CONDITIONS).fetchall()})

    def broken_by(self, later: "Schema") -> Iterator[str]:
        """What code written for this one trips over in a later one."""
        tables = {name.split(".")[0] for name in self.columns}
        for name, was in self.columns.items():
            now = later.columns.get(name)
            if now is None:
                yield f"{name} is gone"
            elif now.type != was.type:
                yield f"{name} is {now.type}, and was {was.type}"
            elif was.may_be_null and not now.may_be_null:
                yield f"{name} must not be null any more"
        for name in later.columns.keys() - self.columns.keys():
            new = later.columns[name]
            if name.split(".")[0] in tables and not (new.may_be_null or new.has_default):
                yield f"{name} is needed"
        for table, name in later.conditions - self.conditions:
            if table in tables:
                yield f"{table} has a new condition: {name}"


def test_migrations_since_the_release_take_nothing_away(postgres: Postgres) -> None:
    url = create_database(postgres.url, "expanded")
    newest = Schema.of(url)
    command.downgrade(config(url), RELEASED)

    assert list(Schema.of(url).broken_by(newest)) == []


@pytest.mark.parametrize(("statement", "says"), CONTRACTIONS)
def test_what_takes_away_is_noticed(postgres: Postgres, statement: str, says: str) -> None:
    url = create_database(postgres.url, f"contracted{CONTRACTIONS.index((statement, says))}")
    before = Schema.of(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())

    assert says in list(before.broken_by(Schema.of(url)))


@pytest.fixture(scope="module")
def later(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    """A system whose tables have a column more each, as after the next release's migrations."""
    root = room / "later"
    root.mkdir()
    url = create_database(postgres.url, "later")
    with psycopg.connect(url, autocommit=True) as connection:
        for (table,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
            added = sql.SQL('ALTER TABLE {} ADD COLUMN later jsonb NOT NULL DEFAULT \'{{"of": "the next release"}}\'')
            connection.execute(added.format(sql.Identifier(table)))
    system = System(root, url, redis_apart(redis_url), model.base_url)
    system.start()
    yield system
    system.stop()


@pytest.fixture
async def project(later: System) -> AsyncIterator[Project]:
    async with Project.of(later) as tenant:
        yield tenant


async def test_code_does_not_mind_columns_of_the_next_release(project: Project, model: ScriptedModel) -> None:
    """Every answer is held against the schema by the client, so that none shows them."""
    client = project.client
    store, files = await store_of(client, rain="It rains in Bergen.")
    found = await client.vector_stores.search(store, query="rain")
    assert [result.file_id for result in found.data] == list(files.values())
    assistant = await client.beta.assistants.create(model=model.script(Say("Yes.")))
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Well?"}])
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=POLL_MS
    )
    assert run.status == "completed", run.last_error
    assert len((await client.beta.threads.runs.steps.list(run.id, thread_id=thread.id)).data) == 1
    assert len((await client.beta.threads.messages.list(thread.id)).data) == 2
    assert len((await client.files.list()).data) == 1
    assert (await client.beta.threads.delete(thread.id)).deleted
    assert (await client.vector_stores.delete(store)).deleted
