"""The database: can it be reached, is it new enough, is it ours."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
from alembic.script import ScriptDirectory

from infra.doctor.finding import Finding, fail, first_line, ok, warn
from shared.migrations import config
from shared.settings import Settings
from shared.walls import TENANT

OLDEST = 16
OLDEST_VECTOR = (0, 7)  # the first with halfvec
CONNECT_S = 5
OF_A_WORKER = 3  # connections beside its pool: two for leases, one to see to indexes

MIGRATE = "run `assistantd migrate`"


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """The database and what is in it; nothing after the first line where it doesn't answer."""
    try:
        connection = await psycopg.AsyncConnection.connect(
            settings.database_url, autocommit=True, connect_timeout=CONNECT_S
        )
    except (psycopg.Error, OSError) as error:
        yield fail("postgres", f"does not answer: {first_line(error)} (ASSISTANTD_DATABASE_URL)")
        return
    try:
        async with connection:
            yield _version(connection.info.server_version)
            yield await _vector(connection)
            yield await _migrations(connection, settings)
            yield await _wall(connection)
            yield await _language(connection, settings)
            yield await _indexes(connection)
            yield await _room(connection, settings)
    except psycopg.Error as error:
        yield fail("postgres", f"refused to be looked at: {first_line(error)}")


def _version(number: int) -> Finding:
    version = f"{number // 10_000}.{number % 10_000}"
    if number // 10_000 < OLDEST:
        return fail("postgres", f"is {version}; {OLDEST} or later is needed")
    return ok("postgres", version)


async def _vector(connection: psycopg.AsyncConnection[Any]) -> Finding:
    there = await _value(connection, "SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    available = await _value(connection, "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
    if there is None and available is None:
        return fail("pgvector", "is not installed on the server: install the package for its version of Postgres")
    if there is None:
        return fail("pgvector", f"is installed ({available}) but not in this database: {MIGRATE}")
    if tuple(int(part) for part in there.split(".")[:2]) < OLDEST_VECTOR:
        wanted = ".".join(map(str, OLDEST_VECTOR))
        return fail("pgvector", f"is {there}; {wanted} or later is needed: ALTER EXTENSION vector UPDATE")
    return ok("pgvector", there)


async def _migrations(connection: psycopg.AsyncConnection[Any], settings: Settings) -> Finding:
    scripts = ScriptDirectory.from_config(config(settings.database_url))
    head = scripts.get_current_head()
    try:
        at = await _value(connection, "SELECT version_num FROM alembic_version")
    except psycopg.errors.UndefinedTable:
        at = None
    if at == head:
        return ok("migrations", f"{at}, the newest")
    if at is None:
        return fail("migrations", f"the database has no schema: {MIGRATE}")
    if at not in {script.revision for script in scripts.walk_revisions()}:
        return fail("migrations", f"the database is at {at}, which is newer than this version: upgrade it")
    return fail("migrations", f"the database is at {at}, this version needs {head}: {MIGRATE}")


async def _wall(connection: psycopg.AsyncConnection[Any]) -> Finding:
    """Whether projects can be kept apart: we have to be able to take the tenants' role, and must not be as it is."""
    me = await _value(connection, "SELECT current_user")
    grant = f"GRANT {TENANT} TO {me} WITH INHERIT FALSE, SET TRUE"
    bypasses = await _value(connection, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = %s", TENANT)
    if bypasses is None:
        return fail("wall", f"the role {TENANT} is missing: {MIGRATE}, or: CREATE ROLE {TENANT} NOLOGIN; {grant}")
    if bypasses:
        return fail("wall", f"nothing is kept from {TENANT}: ALTER ROLE {TENANT} NOSUPERUSER NOBYPASSRLS")
    if not await _value(connection, "SELECT pg_has_role(%s, 'SET')", TENANT):
        return fail("wall", f"this role may not become {TENANT}: {grant}")
    restricted = await _value(
        connection,
        """SELECT pg_has_role(%s, 'USAGE') AND row_security_active(CAST(oid AS regclass))
        FROM pg_class WHERE oid = to_regclass('runs')""",
        TENANT,
    )
    if restricted:
        return fail("wall", f"this role is restricted as {TENANT} is: REVOKE {TENANT} FROM {me}; {grant}")
    return ok("wall", "projects are kept apart")


async def _language(connection: psycopg.AsyncConnection[Any], settings: Settings) -> Finding:
    wanted = settings.search_language
    if await _value(connection, "SELECT 1 FROM pg_ts_config WHERE cfgname = %s LIMIT 1", wanted) is not None:
        return ok("search", f"by the words of {wanted}")
    known = await _value(connection, "SELECT string_agg(cfgname, ', ' ORDER BY cfgname) FROM pg_ts_config")
    return fail("search", f"Postgres has no configuration {wanted} (ASSISTANTD_SEARCH_LANGUAGE); it has {known}")


async def _indexes(connection: psycopg.AsyncConnection[Any]) -> Finding:
    """Whether large stores can have indexes: whoever builds one owns the table and may add to its schema."""
    may = await _value(
        connection,
        """SELECT pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relnamespace, 'CREATE')
        FROM pg_class WHERE oid = to_regclass('passages')""",
    )
    if may is None:
        return warn("indexes", "there is no table to index: see migrations")
    if may:
        return ok("indexes", "large vector stores can have them")
    return warn(
        "indexes", "this role may not build any, as it does not own the tables: large stores are searched slowly"
    )


async def _room(connection: psycopg.AsyncConnection[Any], settings: Settings) -> Finding:
    most = int(await _value(connection, "SHOW max_connections"))
    each = settings.database_pool + OF_A_WORKER
    told = f"{most} connections: enough for {most // each} of our processes with {each} each"
    if most < 2 * each:
        return warn("connections", f"{told}; an API and a worker need two (max_connections, ASSISTANTD_DATABASE_POOL)")
    return ok("connections", told)


async def _value(connection: psycopg.AsyncConnection[Any], statement: Any, *params: object) -> Any:
    row = await (await connection.execute(statement, params)).fetchone()
    return None if row is None else row[0]
