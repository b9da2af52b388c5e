"""The chain of the audit log: made right whoever writes at the same time, kept from everybody, and whatever a superuser
does to it with the triggers switched off is seen.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from infra.embedded.postgres import Postgres
from shared.audit import chain
from shared.audit.actor import Actor
from shared.audit.chain import Broken, Head, verify
from shared.database import Database, session
from shared.errors import NotFound
from shared.migrations import upgrade
from shared.projects import commands as projects
from shared.projects import keys
from shared.threads import commands as threads
from shared.vector_stores import commands as stores
from tests.system import create_database

BY = Actor("api_key", "key_1", "svc_acct_1", "127.0.0.1", 'a "client"\t\\ of ünusual name\x01')
TABLES = ("audit_entries", "audit_links")
ENTRIES = 10


@pytest.fixture(scope="module")
def template(postgres: Postgres) -> str:
    """The name of a database with our schema, which nobody is connected to."""
    return create_database(postgres.url, "audited").rsplit("/", 1)[1]


_numbers = iter(range(1000))


@pytest.fixture
def url(postgres: Postgres, template: str) -> Iterator[str]:
    name = f"audited_{next(_numbers)}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
    yield postgres.url.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    """A log of ten entries: a project, renamed again and again."""
    async with Database(url, pool_size=8) as database:
        project = await projects.create(database, BY, 'Ünïcode "quoted"\n')
        for number in range(ENTRIES - 1):
            await projects.modify(database, BY, project["id"], {"name": f"name {number}", "max_stored_bytes": number})
        yield database


def manipulate(url: str, *statements: str) -> None:
    """What a superuser can do."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(sql.Identifier(table)))
        for statement in statements:
            connection.execute(statement.encode())
        for table in TABLES:
            connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER ALL").format(sql.Identifier(table)))


def of(number: int) -> str:
    return f"(SELECT entry_id FROM audit_links WHERE number = {number})"


async def test_a_chain_that_nobody_touched(db: Database) -> None:
    head = await verify(db, at_once=3)

    assert isinstance(head, Head)
    assert head.number == ENTRIES
    assert await verify(db, head) == head
    assert Head.parse(str(head)) == head
    await projects.create(db, BY, "another")
    later = await verify(db, head)
    assert isinstance(later, Head)
    assert later.number == ENTRIES + 1, "a former head is still a part of it"


async def test_an_empty_log(url: str) -> None:
    async with Database(url, pool_size=1) as db:
        assert await verify(db) == chain.NOTHING


REMOVE_ENTRY = f"DELETE FROM audit_entries WHERE id = {of(4)}"
REMOVE_LINK = "DELETE FROM audit_links WHERE number = 4"
INSERT = """
INSERT INTO audit_entries (id, type, resource_id, actor_kind, actor_id)
VALUES ('audit_log-x', 'thread.deleted', 'thread_x', 'api_key', 'key_1')"""
SWAP = f"""
UPDATE audit_links SET entry_id = CASE number WHEN 4 THEN {of(5)} ELSE {of(4)} END WHERE number IN (4, 5)"""

# What is done, the first entry that tells of it, and what it says.
MANIPULATIONS: dict[str, tuple[list[str], int | None, str]] = {
    "changed": ([f"UPDATE audit_entries SET actor_id = 'key_2' WHERE id = {of(4)}"], 4, "it was changed"),
    "moved in time": (
        [f"UPDATE audit_entries SET created_at = created_at - interval '1 us' WHERE id = {of(4)}"],
        4,
        "it was changed",
    ),
    "lost a field": ([f"UPDATE audit_entries SET changed = NULL WHERE id = {of(4)}"], 4, "it was changed"),
    "entry removed": ([REMOVE_ENTRY], 4, "its entry was removed"),
    "link removed": ([REMOVE_LINK], 4, "it is missing"),
    "both removed": ([REMOVE_ENTRY, REMOVE_LINK], 4, "it is missing"),
    "both removed, and the rest counted anew": (
        [
            REMOVE_ENTRY,
            REMOVE_LINK,
            "UPDATE audit_links SET number = -number WHERE number > 4",
            "UPDATE audit_links SET number = -number - 1 WHERE number < 0",
        ],
        4,
        "is not the one that stood here",
    ),
    "inserted": ([INSERT], None, "no part of the chain"),
    "inserted with a link": (
        [INSERT, f"INSERT INTO audit_links VALUES ({ENTRIES + 1}, 'audit_log-x', repeat('0', 64))"],
        ENTRIES + 1,
        "is not the one that stood here",
    ),
    "swapped": (["ALTER TABLE audit_links DROP CONSTRAINT audit_links_entry_id_key", SWAP], 4, "is not the one"),
    "links cut off, entries not": ([f"DELETE FROM audit_links WHERE number = {ENTRIES}"], None, "no part of the chain"),
    "entries cut off, links not": (
        [f"DELETE FROM audit_entries WHERE id = {of(ENTRIES)}"],
        ENTRIES,
        "its entry was removed",
    ),
}


@pytest.mark.parametrize("how", MANIPULATIONS)
async def test_what_a_superuser_does_without_triggers_is_seen(db: Database, url: str, how: str) -> None:
    statements, number, why = MANIPULATIONS[how]
    await asyncio.to_thread(manipulate, url, *statements)

    found = await verify(db, at_once=4)

    assert isinstance(found, Broken)
    assert found.number == number
    assert why in found.why


async def test_a_tail_that_was_cut_off_is_seen_by_a_head_that_was_kept(db: Database, url: str) -> None:
    head = await verify(db)
    assert isinstance(head, Head)
    cut = f"DELETE FROM audit_entries WHERE id IN (SELECT entry_id FROM audit_links WHERE number > {ENTRIES - 2})"
    await asyncio.to_thread(manipulate, url, cut, f"DELETE FROM audit_links WHERE number > {ENTRIES - 2}")

    assert isinstance(await verify(db), Head), "what is left fits"
    assert await verify(db, head) == Broken(None, None, f"it ends with entry {ENTRIES - 2}, and once had {ENTRIES}")

    for name in ("one", "two"):
        await projects.create(db, BY, name)
    found = await verify(db, head)
    assert isinstance(found, Broken)
    assert found.number == ENTRIES
    assert found.why.endswith(f"and was {head.hash}")


async def test_a_chain_that_was_written_anew_is_seen_by_a_head_that_was_kept(db: Database, url: str) -> None:
    head = await verify(db)
    await asyncio.to_thread(manipulate, url, f"UPDATE audit_entries SET actor_id = 'key_2' WHERE id = {of(4)}")
    await _write_anew(db, url)

    assert isinstance(await verify(db), Head), "whoever can write everything can make it fit"
    assert isinstance(head, Head)
    found = await verify(db, head)
    assert isinstance(found, Broken)
    assert found.number == ENTRIES


async def _write_anew(db: Database, url: str) -> None:
    """Give all links the hashes that their entries have now."""
    rows = await db.all(chain.statements.WALK, {"after": 0, "at_most": 100})
    former, statements = "", list[str]()
    for row in rows:
        former = chain.digest(row, former, row["number"])
        statements.append(f"UPDATE audit_links SET hash = '{former}' WHERE number = {row['number']}")
    await asyncio.to_thread(manipulate, url, *statements)


async def test_the_hash_is_what_the_readme_says(db: Database) -> None:
    """By hand, for whoever wants to look without us."""
    first = (await db.all(chain.statements.WALK, {"after": 0, "at_most": 1}))[0]
    told = await db.one(
        text("""
        SELECT jsonb_build_array('', 1, id, CAST(extract(epoch FROM created_at) * 1000000 AS bigint), type, project_id,
          resource_id, CAST(details AS text), CAST(changed AS text), actor_kind, actor_id, actor_account_id, ip_address,
          user_agent)::text AS told FROM audit_entries WHERE id = :id"""),
        {"id": first["entry_id"]},
    )
    assert told is not None
    assert first["hash"] == hashlib.sha256(told["told"].encode()).hexdigest()


REFUSED = [
    f"{verb} {table}{rest}"
    for table in TABLES
    for verb, rest in (("UPDATE", " SET {} = {}"), ("DELETE FROM", ""), ("TRUNCATE", ""))
]


@pytest.mark.parametrize("statement", REFUSED)
async def test_even_a_superuser_is_refused(db: Database, url: str, statement: str) -> None:
    column = "type" if "entries" in statement else "hash"

    def attempt() -> None:
        with psycopg.connect(url) as connection:
            connection.execute(statement.replace("{}", column).encode())

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the audit log can only be appended to"):
        await asyncio.to_thread(attempt)
    assert isinstance(await verify(db), Head)


async def test_replicating_sessions_are_refused_too(url: str) -> None:
    """In those, other triggers are silent."""

    def attempt() -> None:
        with psycopg.connect(url) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("DELETE FROM audit_links")

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="can only be appended to"):
        await asyncio.to_thread(attempt)


@pytest.fixture
def plain_owner(postgres: Postgres, template: str) -> Iterator[str]:
    """The URL of an empty database that a role owns which is no superuser: as a managed Postgres gives it away."""
    assert template, "whose migrations have made the role of tenants"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE owner_of_log LOGIN PASSWORD 'owner'")
        connection.execute("GRANT assistantd_tenant TO owner_of_log WITH INHERIT FALSE, SET TRUE")
        connection.execute("CREATE DATABASE owned OWNER owner_of_log")
    host = postgres.url.rsplit("/", 1)[0].rpartition("@")[2]
    with psycopg.connect(f"{postgres.url.rsplit('/', 1)[0]}/owned", autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")  # which a managed server lets its customers do
    yield f"postgresql://owner_of_log:owner@{host}/owned"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE owned WITH (FORCE)")
        connection.execute("DROP ROLE owner_of_log")


async def test_without_a_superuser_privileges_refuse_already(plain_owner: str) -> None:
    await asyncio.to_thread(upgrade, plain_owner)
    async with Database(plain_owner, pool_size=2) as db:
        project = await projects.create(db, BY, "owned")
        await projects.archive(db, BY, project["id"])
        assert (await db.all(text("SELECT number FROM audit_links ORDER BY 1"))) == [{"number": 1}, {"number": 2}]
        assert isinstance(await verify(db), Head)

    def attempt(statement: str) -> None:
        with psycopg.connect(plain_owner) as connection:
            connection.execute(statement.encode())

    for table in TABLES:
        for statement in (f"UPDATE {table} SET {'type' if 'entr' in table else 'hash'} = ''", f"DELETE FROM {table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"permission denied for table {table}"):
                await asyncio.to_thread(attempt, statement)


async def test_many_at_once_make_one_chain(url: str) -> None:
    """From several connections, as from several processes; each act has an entry, and each entry its place."""
    async with Database(url, pool_size=16) as db, session(url) as other:
        made = [await projects.create(db, BY, f"{n}") for n in range(4)]
        rows = await asyncio.gather(
            *(threads.create(db, made[n % 4]["id"], _thread(n)) for n in range(60)),
        )
        await asyncio.gather(*(threads.delete(db, BY, row["project_id"], row["id"]) for row in rows))
        head = await verify(other)
        noted = await other.all(text("SELECT resource_id FROM audit_entries WHERE type = 'thread.deleted'"))

    assert isinstance(head, Head)
    assert head.number == 4 + 60
    assert {row["resource_id"] for row in noted} == {row["id"] for row in rows}


def _thread(number: int) -> dict[str, Any]:
    return {
        "thread_id": f"thread_{number}",
        "tool_resources": {},
        "thread_metadata": {},
        "messages": [
            {
                "id": f"msg_{number}",
                "role": "user",
                "content": [],
                "attachments": [],
                "file_ids": [],
                "metadata": {},
            }
        ],
    }


class Undone(Exception):
    """Whoever began a transaction thinks better of it."""


async def test_an_act_that_is_rolled_back_leaves_nothing(db: Database) -> None:
    async def undo() -> None:
        async with db.transaction(timedelta(minutes=1)) as transaction:
            await projects.create(transaction, BY, "undone")
            raise Undone

    with pytest.raises(Undone):
        await undo()
    head = await verify(db)
    assert isinstance(head, Head)
    assert head.number == ENTRIES


async def test_an_entry_that_can_not_be_made_undoes_the_act(db: Database, url: str) -> None:
    project = await projects.create(db, BY, "kept")

    def hide() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER TABLE audit_links RENAME TO hidden")

    await asyncio.to_thread(hide)
    with pytest.raises(ProgrammingError, match="audit_links"):
        await projects.archive(db, BY, project["id"])

    assert (await projects.get(db, project["id"]))["archived_at"] is None


async def test_what_is_refused_leaves_nothing(db: Database) -> None:
    refusals: list[Callable[[], Any]] = [
        lambda: projects.archive(db, BY, "proj_none"),
        lambda: keys.remove(db, BY, "proj_none", "key_none"),
        lambda: stores.delete(db, BY, "proj_none", "vs_none"),
    ]
    for refused in refusals:
        with pytest.raises(NotFound):
            await refused()

    head = await verify(db)
    assert isinstance(head, Head)
    assert head.number == ENTRIES
