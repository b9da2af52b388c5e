"""Statements are known by the names that they have in our code, never by what is in them."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Executable, text

from shared import table
from shared.audit.actor import command_line
from shared.audit.entries import entry
from shared.database import Row
from shared.runs import statements, transitions
from shared.runs.statements import ContextLimits, Records
from shared.table import Page
from shared.threads.rows import Thread
from shared.tracing.sql import name_of


class Recorder:
    """Executes nothing and knows what it was asked to."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> list[Row]:
        del params
        self.asked.append(name_of(statement))
        return []

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        await self.all(statement, params)
        return {}


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (statements.CREATE, "runs.CREATE"),
        (statements.read_context("thread_1", ContextLimits(1, 1)).sql, "runs.READ_CONTEXT"),
        (statements.settle(transitions.release(), "run_1", 1, Records()).sql, "runs.settle released"),
        (text("WITH a AS (SELECT 'a secret') SELECT * FROM a"), "with"),
    ],
)
def test_a_statement_has_its_name(statement: Executable, name: str) -> None:
    assert name_of(statement) == name
    assert name_of(statement) == name  # found again


async def test_those_of_every_table_are_named_by_it() -> None:
    db = Recorder()
    keys = {"project_id": "proj_1", "id": "thread_1"}
    await table.get(db, Thread, keys)
    await table.page(db, Thread, {"project_id": "proj_1"}, Page())
    await table.add(db, Thread, keys)
    await table.modify(db, Thread, keys, {"metadata": {"a": "secret"}})
    await table.remove(db, Thread, keys, entry(command_line(), "thread.deleted", "thread_1", "proj_1"))

    assert db.asked == ["get threads", "page threads", "insert threads", "update threads", "delete threads"]
