"""Going along the chain: does every entry still say what it said when it was made, and is none missing?

The hashes are worked out here, from the columns: a function in the database is no witness to the database.
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shared.audit import statements
from shared.database import Executor, Row

AT_ONCE = 1000
_EPOCH = datetime.fromtimestamp(0, UTC)


class Head(NamedTuple):
    """The end of the chain, or a former end: the number and the hash of a link."""

    number: int
    hash: str

    def __str__(self) -> str:
        """As people keep it."""
        return f"{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """What `str` made. Raises ValueError."""
        number, _, digest = text.partition(":")
        return cls(int(number), digest)


NOTHING = Head(0, "")


class Broken(NamedTuple):
    """The first place at which the chain is not what it was."""

    number: int | None
    entry_id: str | None
    why: str

    def __str__(self) -> str:
        """One sentence."""
        place = "the log" if self.number is None else f"entry {self.number}"
        return f"{place}{'' if self.entry_id is None else f' ({self.entry_id})'}: {self.why}"


async def verify(db: Executor, expected: Head = NOTHING, at_once: int = AT_ONCE) -> Head | Broken:
    """Walk the whole chain, some links at a time; returns its head, or the first thing that is wrong.

    `expected` is a head that was noted at another time: the chain has to have that very link still. Entries that are
    made meanwhile do no harm, they are walked too or not.
    """
    head = NOTHING
    while rows := await db.all(statements.WALK, {"after": head.number, "at_most": at_once}):
        for row in rows:
            if (why := _wrong(row, head)) is not None:
                return Broken(row["number"] if why != _GAP else head.number + 1, row["entry_id"], why)
            head = Head(row["number"], row["hash"])
            if head.number == expected.number and head != expected:
                return Broken(head.number, row["entry_id"], f"its hash is {head.hash}, and was {expected.hash}")
    if head.number < expected.number:
        return Broken(None, None, f"it ends with entry {head.number}, and once had {expected.number}")
    if (stray := await db.one(statements.NOT_LINKED)) is not None:
        return Broken(None, stray["id"], "this entry is no part of the chain")
    return head


def digest(row: Row, former: str, number: int) -> str:
    """The hash of the link of that number, to this entry; `former` is the hash before it. The same as the trigger's:
    over a JSON array, in UTF-8, spaced as Postgres spaces it.
    """
    values = [former, number, row["id"], (row["created_at"] - _EPOCH) // timedelta(microseconds=1)]
    values += [row[name] for name in ("type", "project_id", "resource_id", "details_text", "changed_text")]
    values += [row[name] for name in ("actor_kind", "actor_id", "actor_account_id", "ip_address", "user_agent")]
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode()).hexdigest()


_GAP = "it is missing"


def _wrong(row: Row, head: Head) -> str | None:
    if row["number"] != head.number + 1:
        return _GAP
    if row["id"] is None:
        return "its entry was removed"
    if row["hash"] != digest(row, head.hash, row["number"]):
        return "it was changed, or is not the one that stood here"
    return None
