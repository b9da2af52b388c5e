"""What a project sees and writes by statements that have no condition, and what none sees at all."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from shared.database import Database
from tests.tenancy.rows import APPEND_ONLY, MINE, OF_THE_SYSTEM, THEIRS, add, row, walled

IDLE = timedelta(seconds=10)
NOBODY = ""

_TABLES = text("""
SELECT relname AS name, relrowsecurity AS is_secured, pg_get_userbyid(relowner) AS owner,
  (SELECT count(*) FROM pg_policies WHERE tablename = relname AND policyname = 'tenant' AND permissive = 'RESTRICTIVE'
   AND roles = '{assistantd_tenant}' AND cmd = 'ALL' AND qual = with_check
   AND (qual LIKE '%assistantd.project%' OR qual LIKE '%threads.id = %')) AS policies
FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = CAST('public' AS regnamespace) ORDER BY relname""")


async def test_every_table_has_its_wall_or_a_reason(database: Database) -> None:
    """A new table is walled off by the migration that makes it (`shared/migrations/walls.py`)."""
    tables = {row["name"]: row for row in await database.all(_TABLES)}
    bare = {name for name, row in tables.items() if not (row["is_secured"] and row["policies"] == 1)}

    assert bare == OF_THE_SYSTEM.keys()
    assert {table.name for table in walled()} == tables.keys() - bare


async def test_a_project_sees_its_own_rows(lavish: Database) -> None:
    for table in walled():
        everything = text(f"SELECT to_jsonb(one) AS row FROM {table.name} AS one")
        there = [row["row"] for row in await lavish.all(everything)]
        seen = [row["row"] for row in await lavish.within(MINE).all(everything)]

        assert len(there) == 2, table.name
        assert len(seen) == 1, table.name
        assert MINE in str(seen), table.name
        assert THEIRS not in str(seen), table.name


async def test_who_is_no_project_sees_nothing(lavish: Database) -> None:
    nowhere = {"nobody": lavish.within(NOBODY), "unknown": lavish.within("proj_unknown")}
    for table in walled():
        for db in nowhere.values():
            assert await db.all(text(f"SELECT * FROM {table.name}")) == [], table.name
    async with lavish.transaction(IDLE) as unnamed:
        await unnamed.all(text("SET LOCAL ROLE assistantd_tenant"))
        for table in walled():
            assert await unnamed.all(text(f"SELECT * FROM {table.name}")) == [], table.name
    for view in ("threads_of_tenant", "chunks_of_tenant"):
        assert await lavish.all(text(f"SELECT * FROM {view}")) == [], view
        assert len(await lavish.within(MINE).all(text(f"SELECT * FROM {view}"))) == 1, view


async def test_a_project_changes_no_row_of_others(lavish: Database) -> None:
    """By a statement without a condition it changes its own; what it adds to others, or gives away, is refused."""
    mine = lavish.within(MINE)
    for table in walled():
        with pytest.raises(ProgrammingError, match="row-level security"):
            await add(mine, table, row(table, THEIRS))
        if table.name == APPEND_ONLY:
            continue
        column = next(iter(table.columns)).name
        same = f'UPDATE {table.name} SET "{column}" = "{column}" RETURNING CAST(to_jsonb({table.name}) AS text) AS row'
        touched = [row["row"] for row in await mine.all(text(same))]
        assert [MINE in row for row in touched] == [True], table.name
        if "project_id" in table.columns:
            with pytest.raises(ProgrammingError, match="row-level security"):
                await mine.all(text(f"UPDATE {table.name} SET project_id = :other"), {"other": THEIRS})


async def test_a_project_deletes_no_row_of_others(lavish: Database) -> None:
    tables = [table for table in walled()[::-1] if table.name != APPEND_ONLY]
    tables.sort(key=lambda table: table.name != "code_interpreter_hours")  # while their threads are there
    for table in tables:
        await lavish.within(MINE).all(text(f"DELETE FROM {table.name}"))
        left = await lavish.all(text(f"SELECT CAST(to_jsonb(one) AS text) AS row FROM {table.name} AS one"))

        assert [row["row"] for row in left if MINE in row["row"]] == [], table.name
        assert len(left) == 1, table.name


async def test_the_system_sees_all_rows(database: Database) -> None:
    for table in walled():
        assert len(await database.all(text(f"SELECT * FROM {table.name}"))) == 2, table.name


async def test_the_role_can_do_nothing_else(database: Database) -> None:
    role = await database.one(text("SELECT * FROM pg_roles WHERE rolname = 'assistantd_tenant'"))
    assert role is not None
    powers = ("rolsuper", "rolbypassrls", "rolcanlogin", "rolcreaterole", "rolcreatedb", "rolreplication", "rolinherit")
    assert [power for power in powers if role[power]] == []
    owned = text("SELECT relname FROM pg_class WHERE relowner = CAST('assistantd_tenant' AS regrole)")
    assert await database.all(owned) == []
    member = text("SELECT roleid FROM pg_auth_members WHERE member = CAST('assistantd_tenant' AS regrole)")
    assert await database.all(member) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT hash FROM admin_keys",
        "SELECT hash FROM api_keys",
        "SELECT * FROM audit_entries",
        "SELECT * FROM audit_links",
        "SELECT wrapped FROM data_keys",
        "SELECT * FROM projects",
        "SELECT * FROM service_accounts",
        "SELECT * FROM rate_limits",
        "SELECT * FROM budgets",
        "UPDATE projects SET max_sandbox_sessions = 1000",
        "DELETE FROM usage_facts",
        "TRUNCATE messages",
        "UPDATE embedding_spaces SET model = 'another'",
        "ALTER TABLE messages DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON messages",
        "CREATE TABLE mine (id int)",
        "SELECT * FROM alembic_version",
    ],
)
async def test_what_no_request_and_no_run_needs_is_refused(database: Database, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        await database.within(MINE).all(text(statement))
