"""What is not in Postgres: windows of limits, and sessions of the code interpreter."""

from types import SimpleNamespace
from typing import Any

from shared.code_sessions import commands as sessions
from shared.database import Database, Row
from shared.limits import windows
from tests.tenancy.rows import MINE, THEIRS
from worker.runs.bill import Bill
from worker.tools import code_interpreter


def run_of(project_id: str, thread_id: str) -> Row:
    return {"project_id": project_id, "thread_id": thread_id, "api_key_id": None, "assistant_id": "asst_1"}


async def test_sessions_are_those_of_threads(database: Database) -> None:
    opened: list[str] = []

    async def open_session(session_id: str, _idle: object) -> object:
        opened.append(session_id)
        return object()

    sandbox: Any = SimpleNamespace(open=open_session)
    for project_id in (MINE, THEIRS):
        deps: Any = SimpleNamespace(database=database.within(project_id))
        run = run_of(project_id, f"threads of {project_id}")
        await code_interpreter._begin(deps, run, sandbox, Bill([]))  # pyright: ignore[reportPrivateUsage]

    assert opened == [f"threads of {MINE}", f"threads of {THEIRS}"]


async def test_of_anothers_thread_no_hour_is_counted_and_no_session_known(database: Database) -> None:
    mine, theirs = database.within(MINE), f"threads of {THEIRS}"

    assert not await sessions.begin_hour(mine, run_of(MINE, theirs))
    assert await sessions.newest(mine, MINE, theirs) is None
    assert await sessions.newest(database.within(THEIRS), THEIRS, theirs) is not None


def test_limits_are_counted_by_project() -> None:
    def keys(project_id: str) -> set[str]:
        of_models = [windows.of_requests(project_id, 1, "m"), windows.of_tokens(project_id, "m", 1)]
        return {window.key for window in (windows.of_requests(project_id, 1), *of_models)}

    assert len(keys(MINE) | keys(THEIRS)) == 6
    assert all(key.split(":")[1] == MINE for key in keys(MINE))
