"""Sealing what is stored already: plain files, and those that were sealed by keys which are not used any more."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from shared.audit.actor import Actor
from shared.database import Executor, Row
from shared.files import statements
from shared.files.sealed import SealedStore
from shared.files.storage import discard
from shared.vault.vault import ShreddedError

log = structlog.get_logger(__name__)

AT_ONCE = 100  # rows of one statement


@dataclass
class Found:
    """How files lie in the store."""

    current: int = 0
    former: int = 0
    plain: int = 0
    missing: int = 0

    def __str__(self) -> str:
        """A line for people."""
        told = f"files: {self.current} sealed by keys in use, {self.former} by retired ones, {self.plain} plain"
        return told + _without(self.missing)


@dataclass
class Resealed:
    """What has been done."""

    sealed: int = 0
    untouched: int = 0
    missing: int = 0
    forgotten: int = 0

    def __str__(self) -> str:
        """A line for people."""
        told = f"{self.sealed} files sealed, {self.untouched} were already{_without(self.missing)}"
        return f"{told}; {self.forgotten} retired keys forgotten"


async def look(db: Executor, store: SealedStore) -> Found:
    """Read the head of every file."""
    found = Found()
    async for row in _files(db):
        match await _state(store, row):
            case "current":
                found.current += 1
            case "former":
                found.former += 1
            case "plain":
                found.plain += 1
            case _:
                found.missing += 1
    return found


async def reseal(db: Executor, by: Actor, store: SealedStore) -> Resealed:
    """Seal every file that isn't by its project's key in use, then forget keys that were retired long ago.

    A file's bytes are replaced whole: whoever reads them meanwhile reads the former ones or the new ones. A crash
    leaves the rest as it was. Raises StoreUnavailable; then, too, it goes on where it is begun again.
    """
    done = Resealed()
    async for row in _files(db):
        match await _state(store, row):
            case "former" | "plain":
                done.sealed += await _seal(db, store, row)
            case "current":
                done.untouched += 1
            case _:
                done.missing += 1
    done.forgotten = await store.keys.forget(by)
    return done


def _without(missing: int) -> str:
    return f", {missing} without bytes" if missing else ""


async def _seal(db: Executor, store: SealedStore, row: Row) -> bool:
    try:
        await store.owned_by(row["project_id"]).put(row["id"], store.open(row["id"]))
    except FileNotFoundError:
        return False  # it was deleted
    if await db.one(statements.IS_THERE, {"id": row["id"]}) is None:
        await discard(store, row["id"])  # likewise, while we wrote
        return False
    return True


async def _state(store: SealedStore, row: Row) -> str:
    try:
        key_id = await store.sealed_by(row["id"])
    except FileNotFoundError:
        return "missing"
    if key_id is None:
        return "plain"
    try:
        current = await store.keys.current(row["project_id"])
    except ShreddedError:  # the project has just been deleted
        return "missing"
    return "current" if key_id == current.id else "former"


async def _files(db: Executor) -> AsyncIterator[Row]:
    """`id` and `project_id` of each, in the order of ids."""
    after = ""
    while rows := await db.all(statements.AFTER, {"after": after, "at_most": AT_ONCE}):
        for row in rows:
            yield row
        after = rows[-1]["id"]
