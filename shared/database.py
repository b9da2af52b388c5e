"""Postgres for both sides: one asynchronous engine a process.

Most of what we do to the database is one statement that is atomic by itself (a data-changing CTE where several tables
are concerned), so the engine is in autocommit from the start: one round trip, one commit. `transaction()` is there
for what really takes several statements.

A `CancelledError` during a statement means *unknown*, never *not done*: the commit may have happened. Whatever is
written must therefore be guarded by the database (a term, a primary key), not by the caller's memory.

A `Database` speaks for the system, and sees all projects' rows. What is done for one project is done `within` it: over
the same connections, behind the wall of `shared/walls.py`, and with content sealed on its way in and opened on its way
out (`shared/vault/contents.py`).
"""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import orjson
from sqlalchemy import Executable, TextClause, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from shared.tracing.sql import statement_span
from shared.vault.contents import Contents
from shared.walls import SETTING, TENANT, WalledConnection, WalledCursor

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.pool import QueuePool

Row = dict[str, Any]
"""One row by column name."""


def to_json(value: Any) -> str:
    """JSON for a parameter that the statement casts to jsonb."""
    return orjson.dumps(value).decode()


REFUSED = (DataError, IntegrityError, ProgrammingError)
"""Errors by which Postgres says that nothing was written. After others, and after a cancellation, it isn't known."""

_KEEP_ALIVE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms: a server whose machine is gone is noticed, and not waited for
}

_IDLE_WITHIN = "set_config('idle_in_transaction_session_timeout', :within, true)"
_BEGIN = text(f"SELECT {_IDLE_WITHIN}")
_BEGIN_WITHIN = text(f"""
SELECT {_IDLE_WITHIN}, set_config('{SETTING}', :project_id, true), set_config('role', '{TENANT}', true)""")

SCHEMA_VERSION = text("SELECT version_num FROM alembic_version")
"""Answers where the database can be reached and has been migrated."""

WALL_STANDS = text("SELECT current_user AS role")
"""Answers within a project, be it none, where we may take the tenants' role."""


class Executor(Protocol):
    """Whatever can execute a statement: a `Database` or a `Session` (and commit it), or a `Transaction`."""

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """Execute and return every row."""
        ...

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        """Execute and return the first row, or None."""
        ...


class Transactional(Executor, Protocol):
    """An executor that can also do several things together: both of them."""

    def transaction(self, idle_within: timedelta) -> AbstractAsyncContextManager["Transactional"]:
        """What is executed with it happens together or not at all."""
        ...


class Transaction:
    """Several statements that happen together or not at all. One that fails leaves those before it as they are."""

    def __init__(self, connection: AsyncConnection, contents: Contents, project_id: str | None = None) -> None:
        self._connection = connection
        self._contents = contents
        self._project_id = project_id

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """Execute and return every row."""
        params = await self._contents.encode(params, self._project_id)
        async with self._connection.begin_nested():
            rows = await _rows(self._connection, statement, params)
        if self._project_id is not None:
            await self._contents.decode(rows, self._project_id)
        return rows

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        """Execute and return the first row, or None."""
        rows = await self.all(statement, params)
        return rows[0] if rows else None

    @asynccontextmanager
    async def transaction(self, idle_within: timedelta) -> AsyncGenerator["Transaction"]:
        """It is one already; its end is that of the whole."""
        del idle_within
        yield self


class Database:
    """A pool of autocommitting connections. Errors are SQLAlchemy's, e.g. `OperationalError` when Postgres is away."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        options = {
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": 30,
            "hide_parameters": True,  # they are content, and errors are logged
            "json_serializer": to_json,
            "json_deserializer": orjson.loads,
            "connect_args": {
                **_KEEP_ALIVE,
                "async_creator_fn": WalledConnection.connect,
                "cursor_factory": WalledCursor,
            },
        }
        self._engine: AsyncEngine = create_async_engine(driver_url(url), isolation_level="AUTOCOMMIT", **options)
        self._transactional = self._engine.execution_options(isolation_level="READ COMMITTED")
        self._pool = cast("QueuePool", self._engine.pool)
        self._wanting = 0
        self.pool_size = pool_size
        self.contents = Contents()
        """Content is sealed by these, once they have a vault."""
        self.keys: Database | None = None
        """Connections of the vault's own, if there is one: a key may be looked for by who holds one of these."""

    @property
    def in_use(self) -> int:
        """Connections that somebody holds now."""
        return self._pool.checkedout()

    @property
    def waiting(self) -> int:
        """Who waits for a connection now."""
        return max(0, self._wanting - self.in_use)

    def within(self, project_id: str) -> "Within":
        """What is executed with it sees and writes rows of this project alone."""
        return Within(self, project_id)

    async def all(
        self, statement: Executable, params: Mapping[str, Any] | None = None, project_id: str | None = None
    ) -> Sequence[Row]:
        """Execute, commit and return every row; within a project, if one is named, and then with content opened. Raises
        what `Contents.encode` and `decode` raise.

        After a restart of Postgres the pool's connections are dead, which shows at their next use. What only reads is
        then tried again on a new one; what writes may have been committed, and its caller has to know.
        """
        params = await self.contents.encode(params, project_id)
        try:
            rows = await self._all(statement, params, project_id)
        except DBAPIError as error:
            if not error.connection_invalidated or not _only_reads(statement):
                raise
            rows = await self._all(statement, params, project_id)
        if project_id is not None:
            await self.contents.decode(rows, project_id)
        return rows

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        """Execute, commit and return the first row, or None; like `all`."""
        rows = await self.all(statement, params)
        return rows[0] if rows else None

    async def _all(
        self, statement: Executable, params: Mapping[str, Any] | None, project_id: str | None
    ) -> Sequence[Row]:
        self._wanting += 1
        try:
            async with self._engine.connect() as connection:
                with _walled(connection, project_id):
                    return await _rows(connection, statement, params)
        finally:
            self._wanting -= 1

    @asynccontextmanager
    async def transaction(self, idle_within: timedelta, project_id: str | None = None) -> AsyncGenerator[Transaction]:
        """Commit at the end of the block, roll back if it raises; within a project, if one is named.

        If nothing comes from us for as long as `idle_within`, because this process is frozen or cut off, Postgres ends
        the transaction by itself and lets go of its locks.
        """
        if project_id is not None:
            await self.contents.key(project_id)  # which is then at hand, and needs no other connection
        self._wanting += 1
        try:
            async with self._transactional.begin() as connection:
                begin = {"within": f"{idle_within // timedelta(milliseconds=1)}ms"}
                if project_id is None:
                    await connection.execute(_BEGIN, begin)
                else:
                    await connection.execute(_BEGIN_WITHIN, {**begin, "project_id": project_id})
                yield Transaction(connection, self.contents, project_id)
        finally:
            self._wanting -= 1

    async def close(self) -> None:
        """Close the connections that are not in use; those in use close when they are given back."""
        await self._engine.dispose()
        if self.keys is not None:
            await self.keys.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Within:
    """A database as one project has it: both an executor and transactional, over the connections of all."""

    def __init__(self, database: Database, project_id: str) -> None:
        self._database = database
        self._project_id = project_id

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """Execute, commit and return every row; see `Database.all`."""
        return await self._database.all(statement, params, self._project_id)

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        """Execute, commit and return the first row, or None."""
        rows = await self.all(statement, params)
        return rows[0] if rows else None

    def transaction(self, idle_within: timedelta) -> AbstractAsyncContextManager[Transaction]:
        """What is executed with it happens together or not at all; see `Database.transaction`."""
        return self._database.transaction(idle_within, self._project_id)


class Session:
    """One connection, autocommitting: what belongs to a session of Postgres, its settings and locks, ends with it. It
    is the system's; content of `project_id`, if one is named, is sealed and opened all the same.
    """

    def __init__(self, connection: AsyncConnection, contents: Contents, project_id: str | None = None) -> None:
        self._connection = connection
        self._contents = contents
        self._project_id = project_id

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """Execute, commit and return every row."""
        rows = await _rows(self._connection, statement, await self._contents.encode(params, self._project_id))
        if self._project_id is not None:
            await self._contents.decode(rows, self._project_id)
        return rows

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        """Execute, commit and return the first row, or None."""
        rows = await self.all(statement, params)
        return rows[0] if rows else None


@asynccontextmanager
async def session(url: str, contents: Contents | None = None, project_id: str | None = None) -> AsyncGenerator[Session]:
    """A connection beside those of any pool, closed at the end of the block."""
    options = {"poolclass": NullPool, "hide_parameters": True, "connect_args": _KEEP_ALIVE}
    engine = create_async_engine(driver_url(url), isolation_level="AUTOCOMMIT", **options)
    async with engine.connect() as connection:
        yield Session(connection, contents or Contents(), project_id)


async def _rows(connection: AsyncConnection, statement: Executable, params: Mapping[str, Any] | None) -> Sequence[Row]:
    """Every row; an empty list where the statement returns none by nature.

    Rows are plain dicts: SQLAlchemy's own would each keep the whole result's metadata alive, 10 kB of every held run.
    """
    with statement_span(statement):
        result = await connection.execute(statement, params)
    if not result.returns_rows:
        return []
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]


@contextmanager
def _walled(connection: AsyncConnection, project_id: str | None) -> Generator[None]:
    """Have the connection's statements executed within the project. Whatever comes of them, it is the system's again
    when it is given back.
    """
    pooled = cast("Connection", connection.sync_connection).connection
    walled = cast("WalledConnection", pooled.driver_connection)
    walled.project_id = project_id
    try:
        yield
    finally:
        walled.project_id = None


def _only_reads(statement: Executable) -> bool:
    return isinstance(statement, TextClause) and statement.text.lstrip().startswith("SELECT")


def driver_url(url: str) -> str:
    """SQLAlchemy's spelling of a plain `postgresql://` URL: psycopg 3, for both sync and async engines."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)
