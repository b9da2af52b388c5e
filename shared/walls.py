"""The wall between projects that Postgres keeps: row-level security, behind the conditions that every statement has.

What is done for one project is executed in the role `assistantd_tenant`, which sees and writes rows of that project
alone which `assistantd.project` names: a statement that forgot its condition finds nothing of others'. Where none is
named, nothing is there. Policies and privileges are the migrations' (`shared/migrations/walls.py`).

Role and project are set for one transaction, in the same round trip as the statement and before it: both are sent in a
pipeline, which Postgres carries out as one transaction and gives up as a whole if its first part fails. So nothing has
to be remembered of a connection, and nothing that is remembered can be wrong, whatever becomes of a statement: at rest
every connection is in the role that it was opened with. It costs a statement 30 us here and as much in Postgres, more
where processors are contended for, however many projects take turns.

It is no wall against SQL that somebody else wrote: whoever may choose the statement may also choose the role.
"""

from typing import Any, Self

from psycopg import AsyncConnection, AsyncCursor

TENANT = "assistantd_tenant"
SETTING = "assistantd.project"

ENTER = f"SELECT set_config('{SETTING}', %s, true), set_config('role', '{TENANT}', true)"
"""What comes before a statement, to be filled in with a project's id: it holds until the transaction ends."""


class WalledConnection(AsyncConnection[Any]):
    """A connection whose statements are executed within `project_id`; where that is None, as the system's."""

    project_id: str | None = None


class WalledCursor(AsyncCursor[Any]):
    """What SQLAlchemy executes statements with."""

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Execute, within the connection's project if it has one. Not to be used within a transaction: see `ENTER`."""
        connection: Any = self.connection
        project_id = connection.project_id
        if project_id is None:
            return await super().execute(query, params, **options)
        async with connection.pipeline():
            await AsyncCursor[Any](connection).execute(ENTER, (project_id,), prepare=True)
            await super().execute(query, params, **options)
        return self
