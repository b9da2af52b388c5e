"""Removal without a server: a database of the test's own, whose statements are counted and timed."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, text

from infra.embedded.postgres import Postgres
from shared import ids
from shared.audit.actor import command_line
from shared.database import Database, Row
from shared.files.storage import LocalStore
from shared.projects import commands as projects
from shared.redis import Command
from shared.removals.commands import Removing
from tests.system import create_database


class Cut(Exception):
    """A process died."""


@dataclass
class Counted:
    """A database that notes how long each statement took and how many rows it says that it removed."""

    database: Database
    seconds: list[float] = field(default_factory=list[float])
    removed: list[int] = field(default_factory=list[int])
    dies_after: int | None = None
    """So many statements; then the process is gone."""

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        if self.dies_after is not None and len(self.seconds) >= self.dies_after:
            raise Cut
        begun = time.perf_counter()
        rows = await self.database.all(statement, params)
        self.seconds.append(time.perf_counter() - begun)
        self.removed += [row["n"] for row in rows if "n" in row]
        return rows

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.all(statement, params)
        return rows[0] if rows else None


@dataclass
class Sent:
    """An outbox that keeps what it is given."""

    commands: list[Command] = field(default_factory=list[Command])

    def send(self, commands: Sequence[Command]) -> None:
        self.commands += commands


@dataclass
class Stage:
    """A project, and who removes what was deleted from it."""

    database: Database
    store: LocalStore
    project_id: str
    sent: Sent = field(default_factory=Sent)
    ended: list[str] = field(default_factory=list[str])

    @classmethod
    @asynccontextmanager
    async def of(cls, postgres: Postgres, root: Path) -> "AsyncIterator[Stage]":
        url = create_database(postgres.url, ids.new("key").lower())
        async with Database(url, pool_size=4) as database:
            project = await projects.create(database, command_line(), "mine")
            yield cls(database, LocalStore(root), project["id"])

    def counted(self, dies_after: int | None = None) -> Counted:
        return Counted(self.database, dies_after=dies_after)

    async def remove(self, database: Counted | None = None) -> None:
        """Until nothing is left."""

        async def end_session(thread_id: str) -> None:
            self.ended.append(thread_id)

        removing = Removing(database or self.counted(), self.store, self.sent, end_session)
        while await removing.round():
            pass

    async def thread(self, *, messages: int = 1, runs: int = 0, steps: int = 0, status: str = "completed") -> str:
        """A thread with so much in it; each run has `steps`."""
        thread_id = ids.new("thread")
        facts = {"thread": thread_id, "project": self.project_id, "messages": messages, "runs": runs, "steps": steps}
        ended = "now()" if status == "completed" else "NULL"
        for statement in (
            "INSERT INTO threads (id, project_id) VALUES (:thread, :project)",
            "INSERT INTO thread_activity (thread_id, project_id, active_at) VALUES (:thread, :project, now())",
            """INSERT INTO messages (id, project_id, thread_id, role, content)
            SELECT concat('msg_', n, :thread), :project, :thread, 'user',
              jsonb_build_array(jsonb_build_object('type', 'text', 'text', repeat('word ', 40)))
            FROM generate_series(1, :messages) AS n""",
            f"""INSERT INTO runs (id, project_id, thread_id, assistant_id, model, parallel_tool_calls, expires_at,
              status, finished_at)
            SELECT concat('run_', n, :thread), :project, :thread, 'asst_1', 'm', true, now() + interval '1 hour',
              '{status}', {ended} FROM generate_series(1, :runs) AS n""",
            """INSERT INTO run_steps (id, project_id, thread_id, run_id, assistant_id, position, term, type, status,
              ended_at)
            SELECT concat('step_', n, '_', runs.id), :project, :thread, runs.id, 'asst_1', n, 1, 'message_creation',
              'completed', now()
            FROM runs, generate_series(1, :steps) AS n WHERE thread_id = :thread""",
        ):
            await self.fill(statement, **facts)
        return thread_id

    async def fill(self, statement: str, **facts: str | int) -> None:
        """Execute a statement with those of the facts that it names, whose types Postgres can't always tell."""
        named = {name: value for name, value in facts.items() if f":{name}" in statement}
        for name, value in named.items():
            statement = statement.replace(f":{name}", f"CAST(:{name} AS {'int' if isinstance(value, int) else 'text'})")
        await self.database.all(text(statement), named)

    async def count(self, table: str, where: str = "true") -> int:
        row = await self.database.one(text(f"SELECT count(*) AS rows FROM {table} WHERE {where}"))
        assert row is not None
        return row["rows"]
