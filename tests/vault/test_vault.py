"""Data keys: one in use a project, opened by master keys that can be changed, gone with the project."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from infra.embedded.postgres import Postgres
from shared.audit.actor import command_line
from shared.database import Database
from shared.vault.masters import MasterKeys, NoMasterKey
from shared.vault.vault import ShreddedError, Vault
from tests.vault import OTHER, PROJECT, project_database

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    async with Database(project_database(postgres), pool_size=8) as connected:
        yield connected


def vault(database: Database, *keys: bytes) -> Vault:
    """As another process has it: nothing is remembered."""
    return Vault(database, MasterKeys(keys))


async def test_a_projects_first_key_is_made_once(database: Database) -> None:
    keys = await asyncio.gather(*(vault(database, OLD).current(PROJECT) for _ in range(8)))

    assert len({key.secret for key in keys}) == 1
    assert (await vault(database, OLD).current(OTHER)).secret != keys[0].secret
    assert await vault(database, OLD).find(keys[0].id) == keys[0]


async def test_no_row_shows_a_key(database: Database) -> None:
    key = await vault(database, OLD).current(PROJECT)

    (row,) = await database.all(text("SELECT * FROM data_keys"))

    assert key.secret not in bytes(row["wrapped"])
    assert OLD not in bytes(row["wrapped"])
    assert row["master"] not in (OLD.hex(), OLD.decode())


async def test_another_master_key_takes_over_without_a_moment_in_which_nothing_opens(database: Database) -> None:
    keys = [await vault(database, OLD).current(project) for project in (PROJECT, OTHER)]
    changing = vault(database, NEW, OLD)
    assert await changing.current(PROJECT) == keys[0]

    assert await changing.rewrap(command_line()) == len(keys)

    assert [await vault(database, OLD, NEW).find(key.id) for key in keys] == keys
    assert [await vault(database, NEW).find(key.id) for key in keys] == keys
    with pytest.raises(NoMasterKey, match="is not among ASSISTANTD_ENCRYPTION_KEYS"):
        await vault(database, OLD).find(keys[0].id)
    assert await changing.rewrap(command_line()) == 0


async def test_a_wrapped_key_opens_in_its_own_row_alone(database: Database) -> None:
    ours, theirs = [await vault(database, OLD).current(project) for project in (PROJECT, OTHER)]
    await database.all(
        text("UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE id = :theirs) WHERE id = :ours"),
        {"ours": ours.id, "theirs": theirs.id},
    )

    with pytest.raises(NoMasterKey, match="did not wrap this data key"):
        await vault(database, OLD).current(PROJECT)


async def test_a_retired_key_opens_and_seals_no_more(database: Database) -> None:
    process = vault(database, OLD)
    former = await process.current(PROJECT)

    assert await process.retire(command_line()) == 1

    assert (await process.current(PROJECT)).id != former.id
    assert await process.find(former.id) == former
    assert await process.forget(command_line()) == 0, "another process may still seal by it"
    await database.all(
        text("UPDATE data_keys SET retired_at = now() - interval '8 hours' WHERE id = :id"), {"id": former.id}
    )
    assert await process.forget(command_line()) == 1
    with pytest.raises(ShreddedError):
        await vault(database, OLD).find(former.id)


async def test_a_projects_keys_go_with_it(database: Database) -> None:
    key = await vault(database, OLD).current(PROJECT)
    await database.all(text("DELETE FROM projects WHERE id = :id"), {"id": PROJECT})

    with pytest.raises(ShreddedError):
        await vault(database, OLD).find(key.id)
    with pytest.raises(ShreddedError, match="is gone"):
        await vault(database, OLD).current(PROJECT)
