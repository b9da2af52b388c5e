"""Statements that may have been written and may not: what they say was used counts once in either case."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from infra.embedded.postgres import Postgres
from shared import ids
from shared.assistants import commands as assistants
from shared.audit.actor import command_line
from shared.database import Database
from shared.projects import keys
from shared.runs import commands as runs
from shared.runs import statements, transitions
from shared.runs.records import Records, Telling
from shared.runs.remains import record_used
from shared.runs.statements import ContextLimits
from shared.runs.status import StepStatus
from shared.runs.transitions import Transition
from shared.usage.facts import Used, added
from shared.wire.assistants import CreateAssistant
from shared.wire.runs import CreateThreadAndRun
from tests.system import create_database

USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
USED = Used("completions", "model", 1, 7, 0, 2)
SEARCHED = Used("file_search_calls", "vs_1")


class Claimed:
    """A run in a worker's hands, as the database has it."""

    def __init__(self, database: Database, row: dict[str, Any]) -> None:
        self.database = database
        self.row = row
        self.step = {
            "id": ids.new("step"),
            "position": 0,
            "created_at": datetime.now(UTC),
            "ended_at": None,
            "type": "tool_calls",
            "status": StepStatus.IN_PROGRESS,
            "details": {"type": "tool_calls", "tool_calls": []},
            "usage": USAGE,
            "last_error": None,
        }

    async def settle(self, move: Transition, records: Records) -> dict[str, Any] | None:
        total = added(self.row["used"], records.used)
        statement = statements.settle(move, self.row["id"], self.row["term"], records._replace(total=total))
        return await self.database.one(statement.sql, statement.params)

    async def record_turn(self) -> dict[str, Any] | None:
        return await self.settle(transitions.record(USAGE), Records(steps=[self.step], used=[USED]))

    async def record_outputs(self) -> dict[str, Any] | None:
        done = {**self.step, "status": StepStatus.COMPLETED}
        return await self.settle(transitions.record(USAGE), Records(answered=[done], used=[SEARCHED]))

    async def counted(self, kind: str = "completions") -> int:
        rows = await self.database.all(text("SELECT requests FROM usage_facts WHERE kind = :kind"), {"kind": kind})
        return len(rows)


@pytest.fixture
async def claimed(postgres: Postgres) -> AsyncIterator[Claimed]:
    async with Database(create_database(postgres.url, ids.new("key").lower()), pool_size=2) as database:
        await keys.create(database, command_line(), "mine")
        project = await database.one(text("SELECT id FROM projects"))
        assert project is not None
        assistant = await assistants.create(database, project["id"], CreateAssistant(model="model").columns())
        params = CreateThreadAndRun(assistant_id=assistant["id"]).params()
        defaults = runs.Defaults(timedelta(minutes=10), 3)
        made = await runs.create_with_thread(
            database, project["id"], ids.new("run"), params, dialect="v2", defaults=defaults
        )
        move = transitions.claim("worker", timedelta(minutes=1))
        statement = statements.claim(move, made["id"], ContextLimits(10, 1000), room=True)
        row = await database.one(statement.sql, statement.params)
        assert row is not None
        yield Claimed(database, row)


async def test_a_turn_that_is_sent_again(claimed: Claimed) -> None:
    assert await claimed.record_turn()
    assert await claimed.record_turn(), "the run is where it was"
    assert await claimed.counted() == 1
    for _ in range(2):
        assert await claimed.record_outputs()
    assert await claimed.counted("file_search_calls") == 1


@pytest.mark.parametrize("written", [True, False])
async def test_a_release_after_a_turn_in_doubt(claimed: Claimed, written: bool) -> None:  # noqa: FBT001
    if written:
        assert await claimed.record_turn()
    released = await claimed.settle(transitions.release(), Records(used=[USED], doubtful=Telling(0)))
    assert released is not None
    assert await claimed.counted() == 1
    assert released["used"] == added([], [USED])


@pytest.mark.parametrize("written", [True, False])
async def test_a_release_after_outputs_in_doubt(claimed: Claimed, written: bool) -> None:  # noqa: FBT001
    assert await claimed.record_turn()
    if written:
        assert await claimed.record_outputs()
    telling = Telling(0, StepStatus.IN_PROGRESS)
    assert await claimed.settle(transitions.release(), Records(used=[SEARCHED], doubtful=telling))
    assert await claimed.counted("file_search_calls") == 1


@pytest.mark.parametrize("written", ["turn", "end", "nothing", "gone"])
async def test_what_is_left_when_a_run_has_passed_on(claimed: Claimed, written: str) -> None:
    """Its worker heard no answer to its last statement, and then that the run is somebody else's, or nobody's."""
    if written == "turn":
        assert await claimed.record_turn()
    if written == "end":
        assert await claimed.settle(transitions.complete(USAGE), Records(used=[USED]))
    if written == "gone":
        await claimed.database.all(text("DELETE FROM threads"))
    left = record_used(claimed.row, [USED], Telling(0))
    await claimed.database.all(left.sql, left.params)
    assert await claimed.counted() == 1
