"""Keys are hashed by a secret that the master key opens: from the first one, or from when what is there is sealed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from sqlalchemy import Executable, text
from sqlalchemy.exc import IntegrityError
from typing_extensions import override

from infra.embedded.postgres import Postgres
from shared.audit.actor import command_line
from shared.database import Database, Row
from shared.projects import hashes, keys, statements
from shared.projects.hashes import digest
from shared.vault.contents import Contents, ContentUnavailable
from shared.vault.masters import MasterKeys
from shared.vault.vault import Vault
from tests.scripted_model import ScriptedModel
from tests.system import System, create_database, redis_apart, until
from tests.transfer import command, said
from tests.vault import PROJECT, project_database

OLD, NEW = b"o" * 32, b"n" * 32


def process(url: str, *masters: bytes) -> Database:
    """What another process has: nothing is remembered."""
    database = Database(url, pool_size=4)
    if masters:
        database.contents = Contents(Vault(database, MasterKeys(masters)))
    return database


@pytest.fixture
def url(postgres: Postgres) -> str:
    return project_database(postgres)


async def opens(url: str, key: str, *masters: bytes) -> bool:
    async with process(url, *masters) as database:
        return await keys.recognise(database, digest(key)) is not None


async def hashed(url: str) -> list[str]:
    async with process(url) as database:
        kept = "SELECT hash FROM api_keys UNION ALL SELECT hash FROM admin_keys"
        return [row["hash"] for row in await database.all(text(kept))]


@pytest.fixture
async def former(url: str) -> list[str]:
    """Keys that were made before there was a master key: to a project, and an admin's."""
    async with process(url) as database:
        made = await keys.create_admin(database, database.contents, command_line(), "admin's")
        return [await keys.create(database, command_line(), PROJECT), made.value]


async def test_from_the_first_key_on(url: str) -> None:
    """However many are made at once."""

    async def made() -> str:
        async with process(url, OLD) as database:
            return await keys.create(database, command_line(), PROJECT)

    values = await asyncio.gather(*(made() for _ in range(6)))

    kept = await hashed(url)
    assert all(value.startswith("hmac.") for value in kept)
    assert not {digest(value) for value in values} & set(kept)
    assert [await opens(url, value, OLD) for value in values] == [True] * 6


async def test_a_plain_hash_opens_nothing_where_there_is_a_secret(url: str) -> None:
    """Also for a process that has not been told the master key, which says so."""
    async with process(url, OLD) as database, process(url) as unknowing:
        await keys.create(database, command_line(), PROJECT)
        for plain in (digest("sk-plain"), "hmac." + digest("sk-plain")):
            await database.all(text("UPDATE api_keys SET hash = :hash"), {"hash": plain})
            assert await keys.recognise(database, digest("sk-plain")) is None
            with pytest.raises(ContentUnavailable, match="ASSISTANTD_ENCRYPTION_KEYS has to be set"):
                await keys.recognise(unknowing, digest("sk-plain"))


async def test_the_secret_never_retires(url: str, former: list[str]) -> None:
    """Nor does a release that knows nothing of it make it: for the hashes could not be made anew."""
    async with process(url, OLD) as database:
        await hashes.seal(database)
        with pytest.raises(IntegrityError, match="data_keys_never_retired"):
            await database.all(text("UPDATE data_keys SET retired_at = now()"))
    assert [await opens(url, key, OLD) for key in former] == [True, True]


async def test_a_keeper_of_master_keys_that_fails_is_not_taken_for_having_none(url: str, former: list[str]) -> None:
    """Otherwise plain hashes would be looked for."""
    async with process(url, OLD) as database:
        await hashes.seal(database)

    class Failing(MasterKeys):
        @override
        async def unwrap(self, name: str, wrapped: bytes, bound_to: bytes) -> bytes:
            raise KeyError(name)

    async with process(url) as database:
        database.contents = Contents(Vault(database, Failing([OLD])))
        with pytest.raises(KeyError):
            await keys.recognise(database, digest(former[0]))


async def test_keys_from_before_there_was_a_master_key(url: str, former: list[str]) -> None:
    """They go on opening what they did, and so do those that are made before they are sealed, and afterwards."""
    assert sorted(await hashed(url)) == sorted(digest(key) for key in former)
    async with process(url, OLD) as serving, process(url, OLD) as sealing:
        every = [*former, await keys.create(serving, command_line(), PROJECT)]
        assert [await keys.recognise(serving, digest(key)) is not None for key in every] == [True] * 3
        assert await hashes.look(sealing) == "keys: 3, 3 of them not hashed by the secret"

        assert await hashes.seal(sealing) == len(every)

        assert [await keys.recognise(serving, digest(key)) is not None for key in every] == [True] * 3
        every.append(await keys.create(serving, command_line(), PROJECT))
        assert await hashes.seal(sealing) == 0
        assert await hashes.look(sealing) == "keys: 4, 0 of them not hashed by the secret"
    assert [await opens(url, key, OLD) for key in every] == [True] * 4
    assert not {digest(key) for key in every} & set(await hashed(url))


async def test_two_that_seal_at_once(url: str, former: list[str]) -> None:
    async with process(url, OLD) as one, process(url, OLD) as other:
        counts = await asyncio.gather(hashes.seal(one), hashes.seal(other))

    assert sum(counts) == len(former)
    assert [await opens(url, key, OLD) for key in former] == [True, True]


@dataclass
class Overtaken:
    """An executor before whose next statement that makes a key somebody else does something."""

    database: Database
    first: Callable[[], Awaitable[object]]

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        if statement is statements.CREATE_ADMIN_KEY:
            await self.first()
        return await self.database.all(statement, params)

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        return next(iter(await self.all(statement, params)), None)


async def test_a_key_that_is_made_just_after_the_others_were_sealed(url: str, former: list[str]) -> None:
    """By a process that had seen no secret yet."""
    async with process(url, OLD) as making, process(url, OLD) as sealing:
        overtaken = Overtaken(making, lambda: hashes.seal(sealing))
        made = await keys.create_admin(overtaken, making.contents, command_line(), "late")
        assert await hashes.look(sealing) == f"keys: {len(former) + 1}, 0 of them not hashed by the secret"

    assert await opens(url, made.value, OLD)


async def test_a_key_that_is_not_committed_when_the_others_are_sealed(url: str, former: list[str]) -> None:
    async with process(url, OLD) as making, process(url, OLD) as sealing:
        async with making.transaction(timedelta(seconds=5)) as together:
            made = await keys.create_admin(together, making.contents, command_line(), "early")
            sealed = asyncio.create_task(hashes.seal(sealing))
            await until(lambda: waiting(url))
        assert await sealed == len(former) + 1

    assert await opens(url, made.value, OLD)


def waiting(url: str) -> bool:
    """Does anybody wait for a lock?"""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is not None


async def test_who_dies_over_it_leaves_all_as_they_were(
    url: str, former: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(url, OLD) as database:
        with monkeypatch.context() as patched:
            patched.setattr(hashes, "_hash", None)
            with pytest.raises(TypeError):
                await hashes.seal(database)
        assert [await opens(url, key, OLD) for key in former] == [True, True]
        assert await hashes.seal(database) == len(former)


async def test_another_master_key(url: str, former: list[str]) -> None:
    async with process(url, OLD) as database:
        await hashes.seal(database)
        retired = await database.contents.vault.retire(command_line()) if database.contents.vault else None
    assert retired == 0  # the secret of keys never is
    async with process(url, NEW, OLD) as database:
        assert database.contents.vault is not None
        assert await database.contents.vault.rewrap(command_line()) == 1

    assert [await opens(url, key, NEW) for key in former] == [True, True]
    with pytest.raises(ContentUnavailable, match="is not among ASSISTANTD_ENCRYPTION_KEYS"):
        await opens(url, former[0], OLD)


async def test_without_the_master_key(url: str, former: list[str]) -> None:
    """It is said, where otherwise a good key would be taken for a wrong one, and a new one would open nothing."""
    async with process(url, OLD) as database:
        await hashes.seal(database)

    with pytest.raises(ContentUnavailable, match="ASSISTANTD_ENCRYPTION_KEYS has to be set"):
        await opens(url, former[0])
    async with process(url) as database:
        with pytest.raises(ContentUnavailable, match="ASSISTANTD_ENCRYPTION_KEYS has to be set"):
            await keys.create(database, command_line(), PROJECT)
        with pytest.raises(ContentUnavailable, match="ASSISTANTD_ENCRYPTION_KEYS has to be set"):
            await keys.create_admin(database, database.contents, command_line(), "admin's")
    assert len(await hashed(url)) == len(former)


@pytest.fixture(scope="module")
def alone(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    """A system whose first keys were made before it had a master key."""
    root = room / "hashes"
    root.mkdir()
    made = System(root, create_database(postgres.url, "hashes"), redis_apart(redis_url), model.base_url, sealed=False)
    yield made
    made.stop()


@pytest.fixture
async def asking(alone: System) -> AsyncIterator[httpx2.AsyncClient]:
    key = await alone.key("first")
    alone.sealed = True
    alone.spawn_api().wait_until_ready()
    async with httpx2.AsyncClient(base_url=alone.base_url, headers={"authorization": f"Bearer {key}"}) as client:
        yield client


async def test_sealing_while_requests_come_in(alone: System, asking: httpx2.AsyncClient) -> None:
    """None of them is refused; then the commands need the master key."""
    sealed, statuses = asyncio.Event(), set[int]()

    async def ask() -> None:
        while not sealed.is_set():
            statuses.add((await asking.get("/models")).status_code)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        told = await said(alone, "encryption", "seal")
        await asyncio.sleep(1.5)  # longer than a key is remembered for
        sealed.set()

    assert "keys: 1 hashed by the secret" in told
    assert statuses == {200}
    assert "keys: 1, 0 of them not hashed by the secret" in await said(alone, "encryption", "status")
    await said(alone, "keys", "create", "--project", "first")
    alone.sealed = False
    for arguments in (("keys", "create", "--project", "first"), ("prepare",)):
        refused = await command(alone, *arguments)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == "Keys are hashed by a secret, for which ASSISTANTD_ENCRYPTION_KEYS has to be set.\n"
