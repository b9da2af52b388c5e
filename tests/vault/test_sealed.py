"""Sealed files: nothing of them is seen in the store, nothing that was changed there is taken for them."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from infra.embedded.postgres import Postgres
from shared import ids
from shared.audit.actor import command_line
from shared.database import Database
from shared.files.resealing import look, reseal
from shared.files.sealed import SealedStore
from shared.files.sealing import FRAME, HEAD, MAGIC, OUTER, Frames, Head
from shared.files.storage import LocalStore, StoreUnavailable, place
from shared.vault.masters import MasterKeys
from shared.vault.vault import Vault
from tests.vault import OTHER, PROJECT, everything, pieces, project_database

MASTER = bytes(32)
PLANTED = b"the numbers of the fourth quarter" * 10_000  # five frames and a bit
FIRST, SECOND = slice(HEAD, HEAD + OUTER), slice(HEAD + OUTER, HEAD + 2 * OUTER)
BORDERS = [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME]


class Shelf:
    """A store in a directory, the keys to it in a database."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.database = database
        self.depot = LocalStore(root)
        self.plain = SealedStore(self.depot, None)

    def store(self, project_id: str = PROJECT, *masters: bytes) -> SealedStore:
        """As a process that has just begun has it."""
        return SealedStore(self.depot, Vault(self.database, MasterKeys(masters or (MASTER,)))).owned_by(project_id)

    def path(self, key: str) -> Path:
        return self.root / place(key)

    async def keep(self, store: SealedStore, content: bytes, project_id: str = PROJECT) -> str:
        """A file and its row; returns its id."""
        key = ids.new("file")
        stored = await store.put(key, pieces(content))
        await self.database.all(
            text("""
INSERT INTO files (id, project_id, filename, purpose, bytes, sha256)
VALUES (:id, :project_id, 'a', 'assistants', :bytes, :sha256)"""),
            {"id": key, "project_id": project_id, "bytes": stored.bytes, "sha256": stored.sha256},
        )
        return key


@pytest.fixture
async def shelf(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Shelf]:
    async with Database(project_database(postgres), pool_size=4) as database:
        yield Shelf(tmp_path, database)


async def test_the_store_shows_nothing_of_it(shelf: Shelf) -> None:
    key = await shelf.keep(shelf.store(), PLANTED)

    lies = shelf.path(key).read_bytes()

    assert b"quarter" not in lies
    assert lies.startswith(MAGIC)
    assert await everything(shelf.store(), key) == PLANTED
    assert await everything(shelf.store(OTHER), key) == PLANTED, "whose it is, is asked of the row, never of the store"


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "cut within a frame": lambda lies: lies[:-1],
    "cut between frames": lambda lies: lies[: HEAD + OUTER],
    "cut after its head": lambda lies: lies[:HEAD],
    "cut within its head": lambda lies: lies[: HEAD - 1],
    "one bit": lambda lies: _turned(lies, HEAD + 9),
    "another salt": lambda lies: _turned(lies, HEAD - 1),
    "longer": lambda lies: lies + bytes(20),
    "frames swapped": lambda lies: b"".join([lies[:HEAD], lies[SECOND], lies[FIRST], lies[HEAD + 2 * OUTER :]]),
    "first frame gone": lambda lies: lies[:HEAD] + lies[HEAD + OUTER :],
}


def _turned(lies: bytes, place: int) -> bytes:
    return lies[:place] + bytes([lies[place] ^ 1]) + lies[place + 1 :]


@pytest.mark.parametrize("harm", HARMS)
async def test_what_was_changed_is_not_taken_for_it(shelf: Shelf, harm: str) -> None:
    key = await shelf.keep(shelf.store(), PLANTED)
    shelf.path(key).write_bytes(HARMS[harm](shelf.path(key).read_bytes()))

    with pytest.raises(StoreUnavailable, match="is damaged"):
        await everything(shelf.store(), key)


async def test_one_file_is_not_taken_for_another(shelf: Shelf) -> None:
    one, other = [await shelf.keep(shelf.store(), content) for content in (PLANTED, PLANTED[::-1])]
    shelf.path(one).write_bytes(shelf.path(other).read_bytes())

    with pytest.raises(StoreUnavailable, match="is damaged"):
        await everything(shelf.store(), one)


@pytest.mark.parametrize("size", [*BORDERS, 3 * FRAME - 1])
async def test_every_range(shelf: Shelf, size: int) -> None:
    content = os.urandom(size)
    store = shelf.store()
    key = await shelf.keep(store, content)

    for begin in BORDERS:
        for end in (*BORDERS, size, None):
            if begin < size and (end is None or begin < end <= size):
                assert b"".join([chunk async for chunk in store.open_range(key, begin, end)]) == content[begin:end]


async def test_what_lay_there_plain_is_read_as_it_lies(shelf: Shelf) -> None:
    key = await shelf.keep(shelf.plain, PLANTED)
    assert shelf.path(key).read_bytes() == PLANTED

    assert await everything(shelf.store(), key) == PLANTED


@pytest.mark.parametrize("content", [MAGIC, MAGIC + bytes(HEAD), MAGIC[:-1], MAGIC[:3]])
@pytest.mark.parametrize("size", [1, 5, 1000])
async def test_plain_bytes_that_look_sealed_come_back(shelf: Shelf, content: bytes, size: int) -> None:
    key = ids.new("file")
    await shelf.plain.put(key, pieces(content, size))

    assert await everything(shelf.plain, key) == content
    assert b"".join([chunk async for chunk in shelf.store().open_range(key, 1, 3)]) == content[1:3]
    assert await shelf.store().sealed_by(key) is None


async def test_without_keys_sealed_bytes_are_not_given_out(shelf: Shelf) -> None:
    key = await shelf.keep(shelf.store(), PLANTED)

    with pytest.raises(StoreUnavailable, match="ASSISTANTD_ENCRYPTION_KEYS is not set"):
        await everything(shelf.plain, key)
    with pytest.raises(StoreUnavailable, match="is not among ASSISTANTD_ENCRYPTION_KEYS"):
        await everything(shelf.store(PROJECT, b"x" * 32), key)
    with pytest.raises(StoreUnavailable, match="is not among ASSISTANTD_ENCRYPTION_KEYS"):
        await shelf.store(PROJECT, b"x" * 32).put(ids.new("file"), pieces(PLANTED))


async def test_a_damaged_file_is_named_and_keeps_no_other_back(shelf: Shelf) -> None:
    store = shelf.store()
    head, frame, _ = [await shelf.keep(store, PLANTED) for _ in range(3)]
    theirs = await shelf.keep(shelf.store(OTHER), PLANTED, OTHER)
    shelf.path(head).write_bytes(shelf.path(head).read_bytes()[: HEAD - 1])
    shelf.path(frame).write_bytes(_turned(shelf.path(frame).read_bytes(), HEAD + 9))
    assert await store.keys.retire(command_line()) == 2
    await shelf.database.all(
        text("UPDATE data_keys SET wrapped = substr(wrapped, 2) WHERE project_id = :id"), {"id": OTHER}
    )
    fresh = shelf.store()
    assert str(await look(shelf.database, fresh)) == (
        "files: 0 sealed by keys in use, 3 by retired ones, 0 plain, 1 damaged"
    )

    told = await reseal(shelf.database, fresh)

    first, *others = str(told).splitlines()
    assert first == "files: 1 sealed, 0 were already"
    assert {line.split()[0] for line in others} == {head, frame, theirs}
    assert all("is damaged: " in line for line in others)


async def test_a_damaged_key_is_told_of(shelf: Shelf) -> None:
    key = await shelf.keep(shelf.store(), PLANTED)
    await shelf.database.all(text("UPDATE data_keys SET wrapped = substr(wrapped, 2)"))

    with pytest.raises(StoreUnavailable, match=r"data key .* is damaged"):
        await everything(shelf.store(), key)
    with pytest.raises(StoreUnavailable, match=r"data key .* is damaged"):
        await shelf.store().put(ids.new("file"), pieces(PLANTED))


async def test_what_a_deleted_project_stored_is_gone(shelf: Shelf) -> None:
    key = await shelf.keep(shelf.store(), PLANTED)
    lies = shelf.path(key).read_bytes()
    await shelf.database.all(text("DELETE FROM projects WHERE id = :id"), {"id": PROJECT})
    shelf.path(key).write_bytes(lies)  # as a copy of the store would still have it

    with pytest.raises(FileNotFoundError):
        await everything(shelf.store(), key)


async def test_files_are_sealed_afterwards(shelf: Shelf) -> None:
    plain = await shelf.keep(shelf.plain, PLANTED)
    store = shelf.store()
    sealed = [await shelf.keep(store, PLANTED), await shelf.keep(shelf.store(OTHER), PLANTED, OTHER)]
    lost = await shelf.keep(store, PLANTED)
    await store.delete(lost)
    assert str(await look(shelf.database, store)) == (
        "files: 2 sealed by keys in use, 0 by retired ones, 1 plain, 1 without bytes"
    )

    assert str(await reseal(shelf.database, store)) == ("files: 1 sealed, 2 were already, 1 without bytes")

    assert shelf.path(plain).read_bytes().startswith(MAGIC)
    for key in (plain, *sealed):
        assert await everything(shelf.store(), key) == PLANTED
    assert await store.keys.retire(command_line()) == 2
    assert str(await look(shelf.database, store)) == (
        "files: 0 sealed by keys in use, 3 by retired ones, 0 plain, 1 without bytes"
    )
    await shelf.database.all(
        text("UPDATE data_keys SET retired_at = now() - interval '8 hours' WHERE retired_at < now()")
    )
    assert str(await reseal(shelf.database, store)) == ("files: 3 sealed, 0 were already, 1 without bytes")
    assert await store.keys.forget(command_line()) == 2
    for key in (plain, *sealed):
        assert await everything(shelf.store(), key) == PLANTED


async def test_reading_goes_on_while_files_are_sealed_anew(shelf: Shelf) -> None:
    """Whole, in ranges, and by readers that began before: none is told anything but the bytes that were stored."""
    store = shelf.store()
    keys = [await shelf.keep(store, PLANTED) for _ in range(4)]
    stop = asyncio.Event()
    count = 0

    async def read(key: str) -> None:
        nonlocal count
        while not stop.is_set():
            assert await everything(store, key) == PLANTED
            assert (
                b"".join([chunk async for chunk in store.open_range(key, FRAME - 1, FRAME + 9)])
                == (PLANTED[FRAME - 1 : FRAME + 9])
            )
            count += 1

    readers = [asyncio.create_task(read(key)) for key in keys]
    for _ in range(5):
        await store.keys.retire(command_line())
        assert (await reseal(shelf.database, store)).sealed == len(keys)
    stop.set()
    await asyncio.gather(*readers)
    assert count > len(keys)


@settings(max_examples=60, deadline=None)
@given(
    content=st.binary(max_size=300) | st.integers(0, 3 * FRAME).map(lambda size: b"x" * size),
    cuts=st.lists(st.integers(1, 2 * FRAME), min_size=1, max_size=5),
)
async def test_frames_are_the_same_however_they_come(content: bytes, cuts: list[int]) -> None:
    async def chunks(whole: bytes) -> AsyncIterator[bytes]:
        place = 0
        while place < len(whole):
            for cut in cuts:
                yield whole[place : place + cut]
                place += cut

    frames = Frames(Head(key_id=UUID(int=0), salt=bytes(32)), bytes(32), "file-x")
    sealed = b"".join([frame async for frame in frames.seal_all(chunks(content))])
    whole = b"".join([frame async for frame in frames.seal_all(pieces(content))])
    assert sealed == whole
    assert b"".join([piece async for piece in frames.open_all(chunks(sealed), 0, None)]) == content
