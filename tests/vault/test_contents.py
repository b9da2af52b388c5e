"""Content in rows: sealed on its way in, opened on its way out, moved about by SQL as it lies."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DataError

from shared import ids
from shared.assistants import commands as assistants
from shared.audit.actor import command_line
from shared.database import Database, Executor, session
from shared.removals.retention import _NAMED  # pyright: ignore[reportPrivateUsage] # the SQL is the subject
from shared.runs import commands as runs
from shared.runs import statements, transitions
from shared.threads import commands as threads
from shared.vault.contents import MARK, ContentLost, Contents, ContentUnavailable, Json, Secret, UnstorableError
from shared.vault.databases import require_keys
from shared.vault.masters import MasterKeys, NoMasterKey
from shared.vault.opened import Opened
from shared.vault.resealing import look, reseal
from shared.vault.vault import Vault
from shared.wire.assistants import CreateAssistant
from shared.wire.runs import CreateRun, CreateThreadAndRun
from shared.wire.threads import CreateMessage, CreateThread
from tests.vault import OTHER, PROJECT
from worker.runs import lost
from worker.runs.claim import CONTEXT, claim
from worker.runs.live import Live

MASTER, PLANTED = bytes(32), "the numbers of the fourth quarter"
FILE = ids.new("file")
CONTENT = [{"type": "text", "text": {"value": PLANTED, "annotations": []}}]
EVERYTHING = text("""
SELECT string_agg(told, ' ') AS told FROM (
  SELECT CAST(assistants AS text) AS told FROM assistants UNION ALL SELECT CAST(messages AS text) FROM messages
  UNION ALL SELECT CAST(runs AS text) FROM runs UNION ALL SELECT CAST(run_steps AS text) FROM run_steps) AS rows""")


def sealing(database: Database) -> Database:
    """As a process has it that has just begun: nothing is remembered."""
    database.contents = Contents(Vault(database, MasterKeys([MASTER])))
    return database


async def said(database: Database) -> str:
    """All of the rows, as they lie."""
    row = await database.one(EVERYTHING)
    assert row is not None
    return row["told"]


async def talk(db: Executor, project_id: str = PROJECT) -> tuple[str, str, str]:
    """An assistant, a thread with a message, a run behind an active one; returns the thread's and the runs' ids."""
    made = CreateAssistant(model="m", instructions=f"{PLANTED}\n1").columns()
    assistant = await assistants.create(db, project_id, made)
    params = CreateThread(messages=[CreateMessage(role="user", content=PLANTED)]).params()
    thread = await threads.create(db, project_id, params)
    run_ids: list[str] = []
    for own, additional in ((None, f"{PLANTED} 2"), (f"{PLANTED} 3", None)):
        wanted = CreateRun(
            assistant_id=assistant["id"],
            additional_messages=[CreateMessage(role="user", content=PLANTED)],
            instructions=own,
            additional_instructions=additional,
        )
        run = await runs.create(
            db,
            project_id,
            ids.new("run"),
            thread["id"],
            wanted.params(),
            dialect="v2",
            defaults=runs.Defaults(timedelta(minutes=1), 3),
            when_busy="enqueue",
        )
        run_ids.append(run["id"])
    return thread["id"], run_ids[0], run_ids[1]


@pytest.mark.parametrize("sealed", [True, False])
async def test_what_was_written_is_read(database: Database, sealed: bool) -> None:  # noqa: FBT001
    db = (sealing(database) if sealed else database).within(PROJECT)

    thread_id, first, second = await talk(db)

    assert (PLANTED in await said(database)) != sealed
    assert (await runs.get(db, PROJECT, thread_id, first))["instructions"] == f"{PLANTED}\n1\n{PLANTED} 2"
    assert (await runs.get(db, PROJECT, thread_id, second))["instructions"] == f"{PLANTED} 3"
    await runs.cancel(db, PROJECT, thread_id, first)
    assert await runs.promote(database, thread_id) is not None, "the system moves content about as it lies"
    rows = await db.all(text("SELECT content FROM messages"))
    assert [row["content"] for row in rows] == [CONTENT] * 3
    assert (PLANTED in await said(database)) != sealed


async def test_content_is_a_projects(database: Database, url: str) -> None:
    sealing(database)
    db = database.within(PROJECT)
    await talk(db)

    with pytest.raises(LookupError, match="content is written within a project"):
        await threads.create(
            database, PROJECT, CreateThread(messages=[CreateMessage(role="user", content="a")]).params()
        )
    (row, *_) = await database.all(text("SELECT content FROM messages"))
    assert row["content"][0].startswith(MARK), "the system reads it as it lies"
    async with session(url, database.contents, PROJECT) as connection:
        (row, *_) = await connection.all(text("SELECT content FROM messages"))
    assert row["content"] == CONTENT


HARMS = {
    "another column's": "required_action = (SELECT content FROM messages LIMIT 1), status = 'requires_action'",
    "cut off": "instructions = left(instructions, 53 + 4)",
    "cut off within a character": "instructions = left(instructions, 53 + 5)",
    "changed": "instructions = overlay(instructions PLACING 'AAAA' FROM 80 FOR 4)",
    "of other characters": "instructions = overlay(instructions PLACING '!!!!' FROM 80 FOR 4)",
    "another project's": "instructions = (SELECT instructions FROM assistants WHERE project_id = 'proj_two')",
    "no word": """required_action = '["assistantd.sealed.1.abc"]', status = 'requires_action'""",
}


@pytest.mark.parametrize("harm", HARMS)
async def test_it_is_opened_as_it_was_sealed_or_not_at_all(database: Database, harm: str) -> None:
    db = sealing(database).within(PROJECT)
    thread_id, run_id, _ = await talk(db)
    await talk(database.within(OTHER), OTHER)

    await database.all(text(f"UPDATE runs SET {HARMS[harm]} WHERE id = :id"), {"id": run_id})

    with pytest.raises(ContentLost, match="it is"):
        await runs.get(db, PROJECT, thread_id, run_id)


async def test_messages_of_runs_that_wait_are_opened(database: Database) -> None:
    db = sealing(database).within(PROJECT)
    thread_id, _, second = await talk(db)

    (message,) = (await runs.get(db, PROJECT, thread_id, second))["messages_to_come"]

    assert message["content"] == CONTENT


async def test_who_has_no_key_begins_no_run_of_what_is_sealed(database: Database, url: str) -> None:
    """It could not tell of it, and its client would try again."""
    await talk(sealing(database).within(PROJECT))
    (assistant,) = await database.all(text("SELECT id FROM assistants"))
    thread = await threads.create(database.within(PROJECT), PROJECT, CreateThread().params())
    before = await database.all(text("SELECT count(*) FROM threads"))
    defaults = runs.Defaults(timedelta(minutes=1), 3)
    async with Database(url, pool_size=2) as keyless:
        db = keyless.within(PROJECT)
        wanted = CreateRun(assistant_id=assistant["id"]).params()
        with pytest.raises(ContentUnavailable):
            await runs.create(db, PROJECT, ids.new("run"), thread["id"], wanted, dialect="v2", defaults=defaults)
        both = CreateThreadAndRun(assistant_id=assistant["id"]).params()
        with pytest.raises(ContentUnavailable):
            await runs.create_with_thread(db, PROJECT, ids.new("run"), both, dialect="v2", defaults=defaults)
        with pytest.raises(NoMasterKey, match="is not set"):
            await require_keys(keyless)

    assert await database.all(text("SELECT count(*) FROM threads")) == before
    assert await database.all(text("SELECT id FROM runs WHERE thread_id = :id"), {"id": thread["id"]}) == []
    await require_keys(database)


async def test_a_worker_that_has_no_key_gives_the_run_back(database: Database, url: str) -> None:
    db = sealing(database).within(PROJECT)
    thread_id, run_id, _ = await talk(db)
    async with Database(url, pool_size=2) as keyless:
        deps: Any = SimpleNamespace(
            settings=SimpleNamespace(project_concurrency=None, lease_duration=timedelta(seconds=30)),
            owner="keyless",
            system=keyless,
            live=Live(timedelta(seconds=30), claims=2),
        )
        assert await claim(run_id, deps) is None

        run = await runs.get(db, PROJECT, thread_id, run_id)
        assert (run["status"], run["attempts"]) == ("queued", 0)
        deps.system = database
        claimed = await claim(run_id, deps)
    assert claimed is not None
    assert claimed.run["context"][0]["content"] == CONTENT


@pytest.mark.parametrize("harm", ["runs SET instructions = left(instructions, 80)", "data_keys SET wrapped = '1'"])
@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_run_that_nobody_can_open_ends(database: Database, harm: str, *, cancelled: bool) -> None:
    """Also on its last attempt, and cancelled if that is asked for between the claim and its end."""
    db = sealing(database).within(PROJECT)
    _, run_id, behind = await talk(db)
    await database.all(text(f"UPDATE {harm}"))
    await database.all(text("UPDATE runs SET attempts = 2, max_attempts = 3"))
    sealing(database)
    sent, rung = [], []
    live = Live(timedelta(seconds=30), claims=2)
    deps: Any = SimpleNamespace(
        settings=SimpleNamespace(project_concurrency=None, lease_duration=timedelta(seconds=30)),
        owner="worker",
        system=database,
        database=database,
        live=live,
        outbox=SimpleNamespace(send=sent.extend),
        doorbell=SimpleNamespace(ring=rung.append),
    )
    if cancelled:
        move = transitions.claim("worker", timedelta(seconds=30))
        taken = statements.claim(move, run_id, CONTEXT, room=True)
        row = await database.one(taken.sql, taken.params)
        assert row is not None
        await database.all(text("UPDATE runs SET cancel_requested_at = now() WHERE id = :id"), {"id": run_id})
        await lost.end(deps, row)
    else:
        assert await claim(run_id, deps) is None

    (run,) = await database.all(text("SELECT status, last_error FROM runs WHERE id = :id"), {"id": run_id})
    assert run["status"] == ("cancelled" if cancelled else "failed")
    assert (run["last_error"] is None) == cancelled
    assert [row["id"] for row in rung] == [behind]
    assert sent == [], "nothing is told of what can't be opened"
    with live.room() as room:
        assert room


async def test_a_run_that_is_locked_is_not_overtaken(database: Database) -> None:
    """By one behind it on its thread, while it is being sealed anew."""
    db = database.within(PROJECT)
    thread_id, first, second = await talk(db)
    (assistant,) = await database.all(text("SELECT id FROM assistants"))
    wanted = CreateRun(assistant_id=assistant["id"]).params()
    defaults = runs.Defaults(timedelta(minutes=1), 3)
    third = ids.new("run")
    await runs.create(db, PROJECT, third, thread_id, wanted, dialect="v2", defaults=defaults, when_busy="enqueue")
    await runs.cancel(db, PROJECT, thread_id, first)
    async with database.transaction(timedelta(seconds=30)) as transaction:
        await transaction.all(text("SELECT FROM runs WHERE id = :id FOR NO KEY UPDATE"), {"id": second})
        assert await runs.promote(database, thread_id) is None
    promoted = await runs.promote(database, thread_id)
    assert promoted is not None
    assert promoted["id"] == second


async def test_without_its_key_it_is_not_to_be_had(database: Database) -> None:
    db = sealing(database).within(PROJECT)
    await talk(db)

    for contents in (Contents(), Contents(Vault(database, MasterKeys([b"x" * 32])))):
        database.contents = contents
        with pytest.raises(ContentUnavailable, match="ASSISTANTD_ENCRYPTION_KEYS") as error:
            await db.all(text("SELECT content FROM messages"))
        assert not isinstance(error.value, ContentLost), "others may have it"
    sealing(database)
    await database.all(text("DELETE FROM data_keys"))
    with pytest.raises(ContentLost, match="is gone"):
        await db.all(text("SELECT content FROM messages"))


async def test_a_damaged_key_is_no_other_master_key(database: Database) -> None:
    """Nobody has what opens it: it is told at once, and keeps no process from its work for others."""
    sealing(database)
    for project_id in (PROJECT, OTHER):
        await talk(database.within(project_id), project_id)
    await database.all(
        text("UPDATE data_keys SET wrapped = substr(wrapped, 2) WHERE project_id = :id"), {"id": PROJECT}
    )
    sealing(database)

    with pytest.raises(ContentLost, match="is damaged"):
        await database.within(PROJECT).all(text("SELECT content FROM messages"))
    with pytest.raises(ContentLost, match="is damaged"):
        await talk(database.within(PROJECT))
    assert await database.within(OTHER).all(text("SELECT content FROM messages"))
    await require_keys(database)


async def test_a_key_that_is_never_remembered_is_not_asked_for_for_ever(database: Database) -> None:
    sealing(database)
    await talk(database.within(PROJECT))
    vault = Forgetful()
    database.contents = Contents(vault)  # pyright: ignore[reportArgumentType] # as a vault is asked

    async with asyncio.timeout(5):
        with pytest.raises(ContentUnavailable, match="is found, and never at hand") as error:
            await database.within(PROJECT).all(text("SELECT content FROM messages"))

    assert not isinstance(error.value, ContentLost), "others may have it"
    assert vault.asked == 3


class Forgetful:
    """A vault that finds every key, and remembers none."""

    asked = 0

    def at_hand(self, key_id: Any) -> Opened:
        raise LookupError(f"the data key {key_id} has to be asked for")

    async def find(self, key_id: Any) -> Opened:
        self.asked += 1
        return Opened(key_id, PROJECT, bytes(32))


async def test_transactions_seal_and_open_too(database: Database) -> None:
    sealing(database)
    db = database.within(PROJECT)
    async with db.transaction(timedelta(seconds=5)) as transaction:
        await talk(transaction)
        (row, *_) = await transaction.all(text("SELECT content FROM messages"))
    assert row["content"] == CONTENT
    assert PLANTED not in await said(database)


async def test_files_that_content_names_are_found_by_sql(database: Database) -> None:
    """Retention keeps what active runs may come to."""
    sealing(database)
    db = database.within(PROJECT)
    await talk(db)
    parts = [*CONTENT, {"type": "image_file", "image_file": {"file_id": FILE}}]
    statement = text("UPDATE messages SET content = CAST(:content AS jsonb)")
    await db.all(statement, {"content": Json(Secret("content", parts))})

    rows = await database.all(text(f"SELECT id FROM ({_NAMED}) AS named"), {"project_id": PROJECT})

    assert {row["id"] for row in rows} == {FILE}
    assert PLANTED not in await said(database)


HARMLESS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
WORDS = HARMLESS | st.sampled_from([f"{MARK}{uuid4().hex}.{rest}" for rest in ("", "QUJD", "A", "é")])
TEXTS = st.lists(WORDS, max_size=3).map("\n".join)
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS | st.sampled_from([FILE, f"{FILE}x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HARMLESS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(HARMLESS, VALUES, max_size=3)


@settings(max_examples=300, deadline=None)
@given(instructions=TEXTS, value=OBJECTS, parts=st.lists(OBJECTS, max_size=3), keyed=st.booleans())
async def test_whatever_was_said_comes_back(
    instructions: str, value: dict[str, Any], parts: list[dict[str, Any]], *, keyed: bool
) -> None:
    """Also where somebody says what looks like something sealed, with a vault and without."""
    contents = Contents(KeptInMemory() if keyed else None)  # pyright: ignore[reportArgumentType] # as a vault is asked
    params = {
        "instructions": Secret("instructions", instructions),
        "details": Json(Secret("details", value)),
        "content": Json(Secret("content", parts)),
    }
    encoded = await contents.encode(params, PROJECT)
    assert encoded is not None
    row: dict[str, Any] = {"instructions": f"{encoded['instructions']}\n{encoded['instructions']}"}
    row |= {name: orjson.loads(encoded[name]) for name in ("details", "content")}

    await contents.decode([row])

    assert row == {"instructions": f"{instructions}\n{instructions}", "details": value, "content": parts}


class KeptInMemory:
    """A vault of one key."""

    key = Opened(uuid4(), PROJECT, bytes(32))

    async def current(self, _: str) -> Opened:
        return self.key

    def at_hand(self, key_id: Any) -> Opened:
        if key_id != self.key.id:
            raise LookupError("no such key")
        return self.key

    async def find(self, key_id: Any) -> Opened:
        return self.at_hand(key_id)


@pytest.mark.parametrize("vault", [KeptInMemory(), None])
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (Json(Secret("content", [{"a": "\0"}])), False),
        (Json(Secret("content", [{"a": "\\u0000", "b": "\\\\u0000"}])), True),
        (Json(Secret("content", [{"a": "\\\0"}])), False),
        (Secret("instructions", "a\0b"), False),
        (Secret("instructions", None), True),
        (Secret("instructions", ""), True),
    ],
)
async def test_the_null_character_is_refused_sealed_or_not(
    database: Database, vault: Any, given: Secret | Json, *, stored: bool
) -> None:
    database.contents = Contents(vault)
    statement = text("SELECT CAST(:given AS jsonb)") if isinstance(given, Json) else text("SELECT CAST(:given AS text)")
    refused = pytest.raises((UnstorableError, DataError))
    with nullcontext() if stored else refused:
        await database.all(statement, {"given": given}, PROJECT)


async def test_what_lies_plain_is_sealed_afterwards_and_by_other_keys(database: Database) -> None:
    db = database.within(PROJECT)
    thread_id, first, second = await talk(db)
    contents = sealing(database).contents
    assert (await db.all(text("SELECT content FROM messages")))[0]["content"] == CONTENT, "plain rows are read as well"
    assert (await look(database)).waiting == 1 + 2 + 2

    assert str(await reseal(database)) == "content: 5 rows sealed"

    assert PLANTED not in await said(database)
    assert str(await look(database)) == "content: 5 rows, 0 of them plain or sealed by retired keys"
    assert str(await reseal(database)) == "content: 0 rows sealed"
    assert contents.vault is not None
    assert await contents.vault.retire(command_line()) == 1
    assert (await look(database)).waiting == 5
    assert (await reseal(database)).sealed == 5
    await database.all(text("UPDATE data_keys SET retired_at = now() - interval '8 hours' WHERE retired_at < now()"))
    assert await contents.vault.forget(command_line()) == 1
    sealing(database)
    assert (await runs.get(db, PROJECT, thread_id, first))["instructions"] == f"{PLANTED}\n1\n{PLANTED} 2"
    assert (await runs.get(db, PROJECT, thread_id, second))["instructions"] == f"{PLANTED} 3"
    await runs.cancel(db, PROJECT, thread_id, first)
    await runs.promote(database, thread_id)
    assert [row["content"] for row in await db.all(text("SELECT content FROM messages"))] == [CONTENT] * 3


async def test_a_row_that_cannot_be_opened_is_named_and_keeps_no_other_back(database: Database) -> None:
    await talk(sealing(database).within(PROJECT))
    vault = database.contents.vault
    assert vault is not None
    await vault.retire(command_line())
    (message, _) = await database.all(text("SELECT id FROM messages ORDER BY id"))
    await database.all(
        text("UPDATE messages SET content = jsonb_build_array(left(content ->> 0, 80)) WHERE id = :id"), message
    )

    told = str(await reseal(database))

    assert told == f"content: 4 rows sealed\nmessages {message['id']}: content: it is not what was sealed"


async def test_each_project_has_keys_of_its_own(database: Database) -> None:
    sealing(database)
    for project_id in (PROJECT, OTHER):
        await talk(database.within(project_id), project_id)
    keys = await database.all(text("SELECT DISTINCT project_id, substr(instructions, 21, 32) AS key FROM assistants"))
    assert len({row["key"] for row in keys}) == 2

    await database.all(text("DELETE FROM data_keys WHERE project_id = :id"), {"id": OTHER})
    sealing(database)
    assert await database.within(PROJECT).all(text("SELECT content FROM messages"))
    with pytest.raises(ContentUnavailable):
        await database.within(OTHER).all(text("SELECT content FROM messages"))


async def test_a_row_that_somebody_has_locked_is_left(database: Database) -> None:
    await talk(database.within(PROJECT))
    sealing(database)
    async with database.transaction(timedelta(seconds=30)) as transaction:
        await transaction.all(text("SELECT * FROM messages FOR UPDATE"))
        assert str(await reseal(database)) == "content: 3 rows sealed, 2 left: run it again"
    assert str(await reseal(database)) == "content: 2 rows sealed"


def test_a_key_seals_by_another_key_each_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    key = KeptInMemory.key
    now = key.seal(b"said", b"p")
    monkeypatch.setattr("shared.vault.opened.time.time_ns", lambda: 4_000_000_000_000_000_000)
    later = key.seal(b"said", b"p")

    assert now[:4] != later[:4]
    assert key.open(now, b"p") == key.open(later, b"p") == b"said"
    assert len({key.seal(b"said", b"p") for _ in range(1000)}) == 1000


@pytest.mark.parametrize("size", [0, 1, 1999, 2000, 2001, 4000, 4001, 199_999, 200_000, 300_000])
def test_content_of_every_size(size: int) -> None:
    content = os.urandom(size)
    assert KeptInMemory.key.open(KeptInMemory.key.seal(content, b"p"), b"p") == content


def nonces(count: int) -> set[bytes]:
    return {KeptInMemory.key.seal(b"", b"p")[4:16] for _ in range(count)}


def test_no_nonce_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever thread asks, and though the clock stands still."""
    monkeypatch.setattr("shared.vault.opened.time.time_ns", lambda: 4_000_000_000_000_000_000)
    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(nonces, [3000] * 8))
    assert len(set[bytes]().union(*drawn)) == 8 * 3000


FORKED = """
import os, time, uuid
from shared.vault.opened import Opened

time.time_ns = lambda: 4_000_000_000_000_000_000
key = Opened(uuid.uuid4(), "proj_1", bytes(32))
nonces = lambda: {key.seal(b"", b"p")[4:16].hex() for _ in range(100)}
nonces()  # so that some are drawn already
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, " ".join(nonces()).encode())
    os._exit(0)
os.wait()
theirs = os.read(reading, 100_000).decode().split()
print(len(theirs), len(nonces() & set(theirs)))
"""


def test_a_child_process_draws_nonces_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True)

    assert done.stdout == "100 0\n"
