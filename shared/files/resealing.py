"""Sealing what is stored already: plain files, and those that were sealed by keys which are not used any more."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from shared.database import Executor, Row
from shared.files import statements
from shared.files.sealed import BlobDamaged, SealedStore
from shared.files.storage import discard
from shared.vault.opened import DamagedError
from shared.vault.vault import ShreddedError

AT_ONCE = 100  # rows of one statement

State = Literal["current", "former", "plain", "missing", "damaged"]
"""Sealed by the key that the project uses now, or by one that it used once; as it was sent; no bytes at all; bytes that
are not what was stored as far as their head shows.
"""


@dataclass(frozen=True)
class Found:
    """How many files lie in the store in which state."""

    states: Counter[State]

    def __str__(self) -> str:
        """A line for people."""
        of = self.states
        told = f"files: {of['current']} sealed by keys in use, {of['former']} by retired ones, {of['plain']} plain"
        return told + _without(of)


@dataclass(frozen=True)
class Resealed:
    """What has been done: files `sealed`, and those of other states left as they were; what is wrong with each that is
    `unreadable`.
    """

    sealed: int
    untouched: Counter[State]
    unreadable: list[str]

    def __str__(self) -> str:
        """Lines for people."""
        told = f"files: {self.sealed} sealed, {self.untouched['current']} were already{_without(self.untouched)}"
        return "\n".join([told, *self.unreadable])


async def look(db: Executor, store: SealedStore) -> Found:
    """Read the head of every file."""
    states = Counter[State]()
    async for row in _files(db):
        try:
            states[await _state(store, row)] += 1
        except BlobDamaged:
            states["damaged"] += 1
    return Found(states)


async def reseal(db: Executor, store: SealedStore) -> Resealed:
    """Seal every file that isn't by its project's key in use.

    A file's bytes are replaced whole: whoever reads them meanwhile reads the former ones or the new ones. A crash
    leaves the rest as it was. Raises StoreUnavailable; then, too, it goes on where it is begun again.
    """
    sealed, untouched, unreadable = 0, Counter[State](), list[str]()
    async for row in _files(db):
        try:
            state = await _state(store, row)
            if state in ("former", "plain"):
                sealed += await _seal(db, store, row)
            else:
                untouched[state] += 1
        except BlobDamaged as error:
            unreadable.append(str(error))
    return Resealed(sealed, untouched, unreadable)


def _without(states: Counter[State]) -> str:
    named: dict[State, str] = {"missing": "without bytes", "damaged": "damaged"}
    return "".join(f", {states[state]} {words}" for state, words in named.items() if states[state])


async def _seal(db: Executor, store: SealedStore, row: Row) -> bool:
    try:
        await store.owned_by(row["project_id"]).put(row["id"], store.open(row["id"]))
    except FileNotFoundError:
        return False  # it was deleted
    if await db.one(statements.IS_THERE, {"id": row["id"]}) is None:
        await discard(store, row["id"])  # likewise, while we wrote
        return False
    return True


async def _state(store: SealedStore, row: Row) -> State:
    """Raises BlobDamaged, StoreUnavailable."""
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
    except DamagedError as error:
        raise BlobDamaged(f"{row['id']} is damaged: {error}") from None
    return "current" if key_id == current.id else "former"


async def _files(db: Executor) -> AsyncIterator[Row]:
    """`id` and `project_id` of each, in the order of ids."""
    after = ""
    while rows := await db.all(statements.AFTER, {"after": after, "at_most": AT_ONCE}):
        for row in rows:
            yield row
        after = rows[-1]["id"]
