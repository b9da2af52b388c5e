"""The wall between projects that Postgres keeps: row-level security, behind the conditions that every statement has.

What is done for one project is executed in the role `assistantd_tenant`, which sees and writes rows of that project
alone which `assistantd.project` names: a statement that forgot its condition finds nothing of others'. Where none is
named, nothing is there. Policies and privileges are the migrations' (`shared/migrations/walls.py`).

Role and project are set for one transaction, in the same round trip as the statement and before it: both are sent in a
pipeline, which Postgres carries out as one transaction and gives up as a whole if its first part fails. So nothing has
to be remembered of a connection, and nothing that is remembered can be wrong, whatever becomes of a statement: at rest
every connection is in the role that it was opened with. It costs a statement 40 us here and less in Postgres, more
where processors are contended for, however many projects take turns.

It is no wall against SQL that somebody else wrote: whoever may choose the statement may also choose the role.
"""

from collections.abc import Generator
from typing import Any

from psycopg import AsyncConnection, AsyncCursor, AsyncPipeline
from psycopg.generators import send

TENANT = "assistantd_tenant"
SETTING = "assistantd.project"

ENTER = f"SELECT set_config('{SETTING}', %s, true), set_config('role', '{TENANT}', true)"
"""What comes before a statement, to be filled in with a project's id: it holds until the transaction ends."""


_NAME = b"_pg3_"  # and a number, counted up on each connection: how psycopg names what it prepares


class WalledConnection(AsyncConnection[Any]):
    """A connection whose statements are executed within `project_id`; where that is None, as the system's."""

    project_id: str | None = None


class WalledCursor(AsyncCursor[Any]):
    """What SQLAlchemy executes statements with.

    A pipeline of psycopg's writes each part by itself, and waits for the socket each time. Here what says for whom, the
    statement and their end leave together. For that it puts the driver's own steps together otherwise, which are not
    public: its minor version is pinned (`pyproject.toml`), and `tests/tenancy/test_connections.py` sees what is waited
    for, and that statements of any size, failures and cancellations end as they should.
    """

    def _execute_gen(self, query: Any, params: Any = None, **options: Any) -> Generator[Any, Any, None]:
        """Execute, within the connection's project if it has one. Not to be used within a transaction: see `ENTER`."""
        connection: Any = self.connection
        if connection.project_id is None:
            yield from super()._execute_gen(query, params, **options)
            return
        pipeline: Any = AsyncPipeline(connection, _no_lock=True)
        connection._pipeline = pipeline
        problem: BaseException | None = None
        statements_before = connection._prepared._prepared_idx
        try:
            yield from pipeline._enter_gen()
            try:
                yield from WalledCursor(connection)._queue_gen(ENTER, (connection.project_id,), prepare=True)
                yield from self._queue_gen(query, params, **options)
            finally:
                yield from _send_and_receive(pipeline)
        except BaseException as error:
            problem = error
            _forget_prepared(connection._prepared, statements_before)
            raise
        finally:
            pipeline._exit(problem)
            connection._pipeline = None
        yield from connection._prepared.maintain_gen(connection)

    def _queue_gen(self, query: Any, params: Any, **options: Any) -> Generator[Any, Any, None]:
        yield from self._start_query(query)
        yield from self._maybe_prepare_gen(self._convert_query(query, params), **options)
        self._last_query = query


def _send_and_receive(pipeline: Any) -> Generator[Any, Any, None]:
    """Send all that is queued and the end of the transaction, in one write if the socket takes it, and hand results to
    who waits for them.
    """
    pipeline._enqueue_sync()
    while pipeline.command_queue:
        pipeline.command_queue.popleft()()
    yield from send(pipeline.pgconn)
    yield from pipeline._fetch_gen(flush=False)


def _forget_prepared(prepared: Any, since: int) -> None:
    """Take back that statements were prepared in this turn: it has failed, and they may not have been. psycopg takes
    those for prepared that it has asked for, and would execute by a name which the server doesn't know, for ever.
    """
    for key, name in [*prepared._names.items()]:
        if int(name.removeprefix(_NAME)) >= since:
            del prepared._names[key]
