"""Sealing content that rows hold already: plain, or sealed by keys that are not used any more.

Rows are gone through in the order of their keys, some hundreds in a statement, while everything else goes on: a row is
written only if it is still what was read, and one that somebody has locked is left for another round.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, text

from shared.database import Database, Row, to_json
from shared.vault.contents import MARK, SPOKEN, TEXTS, TO_COME, ContentUnavailable, Purpose

AT_ONCE = 200  # rows of one statement
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A table, its columns that hold content, and its primary key."""

    table: str
    columns: Mapping[str, Purpose]
    keys: tuple[str, ...] = ("id",)


PLACES = (
    Place("assistants", {"instructions": "instructions"}),
    Place("runs", {"instructions": "instructions", "required_action": "required_action", TO_COME: "content"}),
    Place("messages", {"content": "content"}),
    Place("run_steps", {"details": "details"}),
    Place("idempotency_keys", {"fingerprint": "fingerprint", "body": "body"}, ("project_id", "key")),
)
"""In an order in which nothing is copied from what follows into what has been gone through: runs copy instructions of
assistants, messages come from runs that waited.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """How many rows there are that may hold content, and how many of them are not sealed by keys in use."""

    rows: int
    waiting: int

    def __str__(self) -> str:
        """A line for people."""
        return f"content: {self.rows} rows, {self.waiting} of them plain or sealed by retired keys"


async def look(db: Database) -> Found:
    """Read every row."""
    rows = waiting = 0
    for place in PLACES:
        async for page in _pages(db, place):
            rows += len(page)
            waiting += sum(row["waits"] for row in page)
    return Found(rows, waiting)


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many rows have been sealed, how many could not be, for somebody always had hold of them, and which can't be
    opened.
    """

    sealed: int
    left: int
    unreadable: Sequence[str] = ()

    def __str__(self) -> str:
        """A line for people, and one for each row that can't be opened."""
        told = f"content: {self.sealed} rows sealed" + (f", {self.left} left: run it again" if self.left else "")
        return "\n".join([told, *self.unreadable])


async def reseal(db: Database) -> Resealed:
    """Seal by its project's key in use what isn't. A crash leaves the rest as it was, to be sealed by the next call."""
    sealed = left = 0
    unreadable: dict[str, str] = {}
    for place in PLACES:
        skipped = 0
        for _ in range(ROUNDS):
            done, skipped = await _round(db, place, unreadable)
            sealed += done
            if not skipped:
                break
        left += skipped
    return Resealed(sealed, left, [f"{row}: {reason}" for row, reason in unreadable.items()])


async def _round(db: Database, place: Place, unreadable: dict[str, str]) -> tuple[int, int]:
    """Once through a table; returns how many rows were sealed, and how many were not. Says what is unreadable, and
    why.
    """
    sealed = skipped = 0
    async for page in _pages(db, place):
        changed: list[dict[str, Any]] = []
        for row in page:
            try:
                changed += [await _anew(db, place, row)] if row["waits"] else []
            except ContentUnavailable as error:
                unreadable[f"{place.table} {' '.join(row[key] for key in place.keys)}"] = str(error)
        if changed:
            done = await db.all(_write(place), {"rows": to_json(changed)})
            sealed += len(done)
            skipped += len(changed) - len(done)
    return sealed, skipped


async def _pages(db: Database, place: Place) -> AsyncIterator[Sequence[Row]]:
    """All rows, some at a time: their keys, whose they are, whether they wait, and then how they lie and what."""
    after: Mapping[str, Any] = dict.fromkeys(place.keys, "")
    while page := await db.all(_read(place), {**after, "at_most": AT_ONCE}):
        yield page
        after = {key: page[-1][key] for key in place.keys}


async def _anew(db: Database, place: Place, row: Row) -> dict[str, Any]:
    """What the statement that writes wants to know: the row's key, how it lay, and its content as it is to lie."""
    key = await db.contents.key(row["project_id"])
    told: dict[str, Any] = {name: row[name] for name in (*place.keys, "lay")}
    for column, purpose in place.columns.items():
        if column == TO_COME:
            told[column] = [
                {**message, purpose: await db.contents.anew(purpose, message[purpose], key, row["project_id"])}
                for message in row[column]
            ]
        else:
            told[column] = await db.contents.anew(purpose, row[column], key, row["project_id"])
    return told


def _read(place: Place) -> TextClause:
    listed = ", ".join(dict.fromkeys((*place.keys, "project_id")))
    order = ", ".join(place.keys)
    after = ", ".join(f":{key}" for key in place.keys)
    waits = " OR ".join(_waits(column) for column in place.columns)
    content = ", ".join(f"CASE WHEN waits THEN {column} END AS {column}" for column in place.columns)
    return text(f"""
SELECT {listed}, waits, CASE WHEN waits THEN {_lies(place)} END AS lay, {content} FROM (
  SELECT {listed}, {", ".join(place.columns)}, coalesce({waits}, false) AS waits
  FROM (
    SELECT * FROM {place.table} WHERE ({order}) > ({after}) ORDER BY {order} LIMIT :at_most
  ) AS part LEFT JOIN (
    SELECT project_id AS whose, '{MARK}' || replace(CAST(id AS text), '-', '') || '.' AS begins
    FROM data_keys WHERE retired_at IS NULL
  ) AS in_use ON whose = project_id
) AS page ORDER BY {order}""")


def _waits(column: str) -> str:
    """Is there content that is not sealed by the key in use? Null where there is no content."""
    begins = "coalesce(begins, 'no key')"
    if column == TO_COME:
        return f"""(jsonb_array_length({column}) > 0 AND EXISTS (
        SELECT FROM jsonb_array_elements({column}) AS message
        WHERE NOT coalesce(starts_with(message #>> '{{content,0}}', {begins}), false)))"""
    if column in TEXTS:
        # Each line is either a word of that key or waits: instructions may be put together of several.
        return f"""({column} <> '' AND EXISTS (
        SELECT FROM regexp_split_to_table({column}, E'\\n') AS line WHERE NOT starts_with(line, {begins})))"""
    content = f"{column} IS NOT NULL AND {column} ->> 'type' IS DISTINCT FROM '{SPOKEN}'"
    return f"({content} AND NOT coalesce(starts_with({column} ->> 0, {begins}), false))"


def _lies(place: Place, of: str = "") -> str:
    """Tells whether a row has changed."""
    return f"md5(concat_ws('|', {', '.join(f'CAST({of}{column} AS text)' for column in place.columns)}))"


def _write(place: Place) -> TextClause:
    typed = [f"{name} text" for name in (*place.keys, "lay")]
    typed += [f"{column} {'text' if column in TEXTS else 'jsonb'}" for column in place.columns]
    same = " AND ".join(f"kept.{key} = new.{key}" for key in place.keys)
    found = ", ".join(f"kept.{key}" for key in place.keys)
    lies = _lies(place, "kept.")
    sets = ", ".join(f"{column} = new.{column}" for column in place.columns)
    return text(f"""
WITH new AS (SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new({", ".join(typed)})),
  free AS (SELECT {found} FROM {place.table} AS kept JOIN new ON {same} FOR NO KEY UPDATE OF kept SKIP LOCKED)
UPDATE {place.table} AS kept SET {sets} FROM new
WHERE {same} AND ({found}) IN (SELECT * FROM free) AND lay = {lies} RETURNING {found}""")
