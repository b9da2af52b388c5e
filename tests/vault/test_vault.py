"""Data keys: one in use a project, opened by master keys that can be changed, gone with the project; whoever keeps
the master keys.
"""

import asyncio

import pytest
from sqlalchemy import text

from shared.audit.actor import command_line
from shared.database import Database
from shared.vault.masters import NoMasterKey
from shared.vault.opened import DamagedError
from shared.vault.vault import ShreddedError
from tests.vault import OTHER, PROJECT
from tests.vault.conftest import Process

OLD, NEW = b"o" * 32, b"n" * 32


async def test_a_projects_first_key_is_made_once(process: Process) -> None:
    keys = await asyncio.gather(*(process(OLD).current(PROJECT) for _ in range(8)))

    assert len({key.secret for key in keys}) == 1
    assert (await process(OLD).current(OTHER)).secret != keys[0].secret
    assert await process(OLD).find(keys[0].id) == keys[0]


async def test_no_row_shows_a_key(database: Database, process: Process) -> None:
    key = await process(OLD).current(PROJECT)

    (row,) = await database.all(text("SELECT * FROM data_keys"))

    assert key.secret not in bytes(row["wrapped"])
    assert OLD not in bytes(row["wrapped"])
    assert row["master"] not in (OLD.hex(), OLD.decode())


async def test_another_master_key_takes_over_without_a_moment_in_which_nothing_opens(process: Process) -> None:
    keys = [await process(OLD).current(project) for project in (PROJECT, OTHER)]
    changing = process(NEW, OLD)
    assert await changing.current(PROJECT) == keys[0]

    assert await changing.rewrap(command_line()) == len(keys)

    assert [await process(OLD, NEW).find(key.id) for key in keys] == keys
    assert [await process(NEW).find(key.id) for key in keys] == keys
    with pytest.raises(NoMasterKey, match="the master key"):
        await process(OLD).find(keys[0].id)
    assert await changing.rewrap(command_line()) == 0


async def test_a_wrapped_key_opens_in_its_own_row_alone(database: Database, process: Process) -> None:
    ours, theirs = [await process(OLD).current(project) for project in (PROJECT, OTHER)]
    await database.all(
        text("UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE id = :theirs) WHERE id = :ours"),
        {"ours": ours.id, "theirs": theirs.id},
    )

    with pytest.raises(DamagedError, match=f"the data key {ours.id} is damaged"):
        await process(OLD).current(PROJECT)


async def test_a_damaged_key_is_told_from_another_masters(database: Database, process: Process) -> None:
    """Whoever lacks the master key can't know."""
    damaged, whole = [await process(OLD).current(project) for project in (PROJECT, OTHER)]
    await database.all(text("UPDATE data_keys SET wrapped = substr(wrapped, 1, 20) WHERE id = :id"), {"id": damaged.id})

    with pytest.raises(DamagedError, match=f"the data key {damaged.id} is damaged"):
        await process(OLD).find(damaged.id)
    with pytest.raises(NoMasterKey):
        await process(NEW).find(damaged.id)
    with pytest.raises(DamagedError, match=f"1 data keys rewrapped; these are damaged, .*: {damaged.id}"):
        await process(NEW, OLD).rewrap(command_line())
    assert await process(NEW).find(whole.id) == whole
    with pytest.raises(DamagedError):
        await process(OLD).find(damaged.id)


async def test_a_damaged_key_that_was_retired_keeps_no_other_back(database: Database, process: Process) -> None:
    damaged = await process(OLD).current(PROJECT)
    await process(OLD).retire(command_line())
    await database.all(text("UPDATE data_keys SET wrapped = '' WHERE id = :id"), {"id": damaged.id})

    assert (await process(OLD).current(PROJECT)).id != damaged.id


async def test_a_retired_key_opens_and_seals_no_more(database: Database, process: Process) -> None:
    sealing = process(OLD)
    former = await sealing.current(PROJECT)

    assert await sealing.retire(command_line()) == 1

    assert (await sealing.current(PROJECT)).id != former.id
    assert await sealing.find(former.id) == former
    assert await sealing.forget(command_line()) == 0, "another process may still seal by it"
    await database.all(
        text("UPDATE data_keys SET retired_at = now() - interval '8 hours' WHERE id = :id"), {"id": former.id}
    )
    assert await sealing.forget(command_line()) == 1
    with pytest.raises(ShreddedError):
        await process(OLD).find(former.id)


async def test_a_projects_keys_go_with_it(database: Database, process: Process) -> None:
    key = await process(OLD).current(PROJECT)
    await database.all(text("DELETE FROM projects WHERE id = :id"), {"id": PROJECT})

    with pytest.raises(ShreddedError):
        await process(OLD).find(key.id)
    with pytest.raises(ShreddedError, match="is gone"):
        await process(OLD).current(PROJECT)
