"""Master keys that a service keeps: it is asked seldom, may be slow or away, and costs nothing but time then."""

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from shared.audit.actor import command_line
from shared.database import Database
from shared.files.sealed import SealedStore
from shared.files.storage import LocalStore, StoreUnavailable
from shared.threads import commands as threads
from shared.vault.contents import ContentLost, Contents, ContentUnavailable
from shared.vault.databases import require_keys
from shared.vault.masters import MastersAway
from shared.vault.opened import Opened
from shared.vault.vault import ShreddedError, Vault
from shared.wire.threads import CreateMessage, CreateThread
from tests.system import until
from tests.vault import OTHER, PROJECT, everything, pieces
from tests.vault.kms import Kms

KEY = b"k" * 32
MANY = 50
SAID = CreateThread(messages=[CreateMessage(role="user", content="It rains.")])
READ = text("SELECT content FROM messages")


@pytest.fixture
async def keys(url: str) -> AsyncIterator[Database]:
    """The one connection that a process has for them."""
    async with Database(url, pool_size=1) as connected:
        yield connected


async def made(database: Database, kms: Kms) -> UUID:
    """The id of the project's first key; whoever made it is gone."""
    return (await Vault(database, kms.lend(KEY)).current(PROJECT)).id


async def test_however_many_want_a_key_it_is_asked_for_once(keys: Database, kms: Kms) -> None:
    key_id = await made(keys, kms)
    vault = Vault(keys, kms.lend(KEY))
    kms.asked.clear()
    kms.goes_on.clear()

    wanting = [asyncio.create_task(wants) for _ in range(MANY) for wants in (vault.current(PROJECT),)]
    finding = [asyncio.create_task(vault.find(key_id)) for _ in range(MANY)]
    await asyncio.sleep(0)  # so that the first has asked, whom it is then taken from
    wanting.pop(0).cancel()
    kms.goes_on.set()

    opened = await asyncio.gather(*wanting, *finding)
    assert {one.id for one in opened} == {key_id}
    assert kms.asked == {"unwrap": 2}, "by its id, and for being the one in use"
    assert vault.at_hand(key_id) == opened[0]


async def test_who_waits_for_it_keeps_no_other_back(keys: Database, kms: Kms) -> None:
    """Neither what is remembered nor the connection."""
    first = await made(keys, kms)
    vault = Vault(keys, kms.lend(KEY))
    other = await vault.current(OTHER)
    kms.goes_on.clear()
    kms.hears.clear()

    waiting = asyncio.create_task(vault.find(first))
    await kms.hears.wait()

    async with asyncio.timeout(3):
        assert await vault.current(OTHER) == other
        assert await vault.count() != []
    assert not waiting.done()
    kms.goes_on.set()
    assert (await waiting).id == first


async def test_while_it_is_away_nothing_counts_as_lost(database: Database, kms: Kms, tmp_path: Path) -> None:
    """What is remembered goes on; the rest is unavailable, and there again with it, for the same process."""
    database.contents = Contents(Vault(database, kms.lend(KEY)))
    db = database.within(PROJECT)
    await threads.create(db, PROJECT, SAID.params())
    store = SealedStore(LocalStore(tmp_path), database.contents.vault, PROJECT)
    await store.put("file-a", pieces(b"It rains."))
    kms.away = True
    assert await db.all(READ)
    assert await everything(store, "file-a") == b"It rains."
    await require_keys(database)

    database.contents = Contents(Vault(database, kms.lend(KEY)))
    store = SealedStore(LocalStore(tmp_path), database.contents.vault, PROJECT)
    with pytest.raises(ContentUnavailable, match="answers 503") as error:
        await db.all(READ)
    assert not isinstance(error.value, ContentLost)
    with pytest.raises(ContentUnavailable):
        await threads.create(db, PROJECT, SAID.params())
    with pytest.raises(ContentUnavailable):
        await threads.create(database.within(OTHER), OTHER, SAID.params())
    with pytest.raises(StoreUnavailable):
        await everything(store, "file-a")
    with pytest.raises(StoreUnavailable):
        await store.put("file-b", pieces(b"It rains."))
    with pytest.raises(MastersAway):
        await require_keys(database)

    kms.away = False
    assert len(await db.all(READ)) == 1, "what was refused was not written"
    assert await everything(store, "file-a") == b"It rains."
    await store.put("file-b", pieces(b"It rains."))
    await threads.create(database.within(OTHER), OTHER, SAID.params())
    kms.asked.clear()
    for _ in range(5):
        await require_keys(database)
    assert kms.asked["unwrap"] <= 1, "what is remembered is not asked for again"


async def test_one_that_says_nothing_is_not_waited_for(
    keys: Database, kms: Kms, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(keys, kms)
    await Vault(keys, kms.lend(KEY)).retire(command_line())
    key_id = await made(keys, kms)
    monkeypatch.setattr("shared.vault.vault.ASKED_WITHIN_S", 0.2)
    vault = Vault(keys, kms.lend(KEY))
    kms.goes_on.clear()
    kms.asked.clear()

    for wanted in (vault.find(key_id), vault.current(PROJECT), vault.current(OTHER)):
        with pytest.raises(MastersAway, match=r"did not answer within 0\.2 seconds"):
            await wanted
    assert kms.asked == {"unwrap": 2, "wrap": 1}, "nor for retired keys"
    kms.goes_on.set()
    assert (await vault.current(PROJECT)).id == key_id
    assert (await vault.current(OTHER)).project_id == OTHER


async def test_one_that_is_not_there(database: Database) -> None:
    async with Kms() as gone:
        masters = gone.lend(KEY)
        key_id = (await Vault(database, masters).current(PROJECT)).id

    with pytest.raises(MastersAway, match="is not there"):
        await Vault(database, masters).find(key_id)


async def test_a_key_is_dropped_when_its_time_is_over(
    keys: Database, kms: Kms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to ask for another one, and no process holds it any more."""
    monkeypatch.setattr("shared.vault.vault.REMEMBERED_FOR_S", 0.3)
    key_id = await made(keys, kms)
    vault = Vault(keys, kms.lend(KEY))
    await vault.current(PROJECT)
    assert in_memory(key_id)

    await until(lambda: not in_memory(key_id), timedelta(seconds=5))

    with pytest.raises(LookupError):
        vault.at_hand(key_id)
    assert (await vault.find(key_id)).id == key_id


async def test_a_slow_answer_is_remembered_no_longer(keys: Database, kms: Kms, monkeypatch: pytest.MonkeyPatch) -> None:
    """Than a minute since there was a row: a project that is deleted meanwhile is opened no longer for it."""
    key_id = await made(keys, kms)
    monkeypatch.setattr("shared.vault.vault.REMEMBERED_FOR_S", 0.0)
    vault = Vault(keys, kms.lend(KEY))
    kms.goes_on.clear()
    kms.hears.clear()
    finding = asyncio.create_task(vault.find(key_id))
    await kms.hears.wait()
    await keys.all(text("DELETE FROM projects WHERE id = :id"), {"id": PROJECT})
    kms.goes_on.set()

    assert (await finding).id == key_id
    with pytest.raises(LookupError):
        vault.at_hand(key_id)
    with pytest.raises(ShreddedError):
        await vault.find(key_id)


def in_memory(key_id: UUID) -> bool:
    return any(isinstance(one, Opened) and one.id == key_id for one in gc.get_objects())
