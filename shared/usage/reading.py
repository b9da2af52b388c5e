"""Reading what was used: sums of minutes, and of facts that have not been added up yet, in one look at both.

A bucket begins at a whole minute, hour or day, UTC. The first and the last of a question are cut where it begins and
ends, so that questions which meet count nothing twice. What is older than two days is known by the hour.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import TextClause, text

from shared.database import Executor, Row, Transactional
from shared.usage.facts import COUNTS, Kind
from shared.usage.prices import NOTHING, Item, PriceList, Stored

Dimension = Literal["project_id", "api_key_id", "subject"]

ORIGIN = datetime(2001, 1, 1, tzinfo=UTC)  # a midnight: any would do
KINDS: list[Kind] = list(get_args(Kind))
IDLE_WITHIN = timedelta(seconds=5)  # of the transaction
_MEMORY = text("SELECT set_config('work_mem', '32MB', true)")
BYTES: tuple[Stored, ...] = ("vector_stores", "files")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, cut into buckets of `width`."""

    start: datetime
    end: datetime
    width: timedelta

    def buckets(self, at_most: int) -> list[tuple[datetime, datetime]]:
        """The first of its buckets: beginnings and ends."""
        found: list[tuple[datetime, datetime]] = []
        start = self.start
        while start < self.end and len(found) < at_most:
            end = min(self.begins(start) + self.width, self.end)
            found.append((start, end))
            start = end
        return found

    def begins(self, at: datetime) -> datetime:
        """The beginning of the bucket that this instant is in, uncut."""
        return at - (at - ORIGIN) % self.width


class Only(NamedTuple):
    """What is counted; None is no condition."""

    project_ids: Sequence[str] | None = None
    api_key_ids: Sequence[str] | None = None
    subjects: Sequence[str] | None = None

    def named(self) -> tuple[str, ...]:
        """The conditions that there are."""
        return tuple(name for name, given in self._asdict().items() if given is not None)


Found = Mapping[datetime, list[Row]]
"""By the beginning of their bucket: rows with the dimensions that were asked for, and figures."""

Bills = Mapping[datetime, list[tuple[Row, Item]]]
"""By the beginning of their day: lines of bills, each with the dimensions that were asked for."""


def dimensions(names: Iterable[str]) -> list[Dimension]:
    """Those by which rows are told apart: what is used is a model's or a store's, and lines of bills are made later."""
    asked = set(names)
    subjects: list[Dimension] = ["subject"] if asked & {"model", "vector_store_id"} else []
    owners: tuple[Dimension, ...] = ("project_id", "api_key_id")
    return [*(name for name in owners if name in asked), *subjects]


async def counts(db: Transactional, kind: Kind, span: Span, only: Only, by: Sequence[Dimension]) -> Found:
    """What was used: `requests`, `input_tokens`, `cached_tokens`, `output_tokens`."""
    statement = _counts(("bucket", *by), only.named())
    return _by_bucket(span, await _sums(db, statement, {**_params(span, only), "kinds": [kind]}))


async def stored(db: Executor, kind: Stored, span: Span, only: Only, by: Sequence[Dimension]) -> Found:
    """What was kept: `bytes`, on the average of those hours of a bucket that have begun."""
    params = {**_params(span, only), "kind": kind}
    return _by_bucket(span, await db.all(_stored(("bucket", *by), only.named()), params))


async def costs(db: Transactional, prices: PriceList, span: Span, only: Only, by: Sequence[Dimension]) -> Bills:
    """What was used and kept, as lines of bills; buckets are days."""
    statement = _counts(("bucket", "kind", "subject", *by), only.named())
    used = await _sums(db, statement, {**_params(span, only), "kinds": KINDS})
    lines = [(row, item) for row in used for item in prices.items(row, row["bucket"].date())]
    if only.api_key_ids is None:  # what is kept belongs to no key
        for kind in BYTES:
            lines += await _kept(db, prices, kind, span, only, by)
    bills: dict[datetime, list[tuple[Row, Item]]] = {}
    for row, item in lines:
        bills.setdefault(max(row["bucket"], span.start), []).append(({name: row[name] for name in by}, item))
    return bills


async def _sums(db: Transactional, statement: TextClause, params: Mapping[str, Any]) -> Sequence[Row]:
    """With the memory to add up by hashing. By sorting, which Postgres plans with its default of 4 MB, a month takes
    twice as long.
    """
    async with db.transaction(IDLE_WITHIN) as transaction:
        await transaction.all(_MEMORY)
        return await transaction.all(statement, params)


def total(items: Iterable[Item]) -> Decimal:
    """What they cost together."""
    return sum((item.amount for item in items), NOTHING)


async def _kept(
    db: Executor, prices: PriceList, kind: Stored, span: Span, only: Only, by: Sequence[Dimension]
) -> list[tuple[Row, Item]]:
    params = {**_params(span, only), "kind": kind, "free": prices.free_bytes(kind)}
    known = tuple(name for name in by if name != "api_key_id")
    rows = await db.all(_kept_beyond(("bucket", *known), only.named()), params)
    return [
        ({"api_key_id": "", **row}, prices.stored(kind, row["byte_hours"], row["bucket"].date()))
        for row in rows
        if row["byte_hours"]
    ]


def _params(span: Span, only: Only) -> dict[str, Any]:
    lists = {name: list(getattr(only, name)) for name in only.named()}
    return {"start": span.start, "end": span.end, "width": span.width, "origin": ORIGIN, **lists}


def _by_bucket(span: Span, rows: Iterable[Row]) -> dict[datetime, list[Row]]:
    found: dict[datetime, list[Row]] = {}
    for row in rows:
        found.setdefault(max(row["bucket"], span.start), []).append(row)
    return found


_WANTED = {
    "project_ids": "project_id = ANY(:project_ids)",
    "api_key_ids": "api_key_id = ANY(:api_key_ids)",
    "subjects": "subject = ANY(:subjects)",
}
_SUMS = ", ".join(f"CAST(sum({name}) AS bigint) AS {name}" for name in COUNTS)
_NAMES = ", ".join(("kind", "project_id", "api_key_id", "subject", *COUNTS))
_MINUTE = "date_bin('1 minute', at, :origin)"


@cache
def _counts(keys: tuple[str, ...], named: tuple[str, ...]) -> TextClause:
    """Each branch has its own conditions, so that one looks into its index, and the other into as good as nothing."""
    wanted = " AND ".join(["kind = ANY(:kinds)", *(_WANTED[name] for name in named)])
    by = ", ".join(keys)
    return text(f"""
SELECT {by}, {_SUMS} FROM (
  SELECT date_bin(:width, at, :origin) AS bucket, {_NAMES}
  FROM usage_minutes WHERE {wanted} AND at >= :start AND at < :end
  UNION ALL
  SELECT date_bin(:width, at, :origin) AS bucket, {_NAMES}
  FROM usage_facts WHERE {wanted} AND {_MINUTE} >= :start AND {_MINUTE} < :end) AS used
GROUP BY {by} ORDER BY {by}""")


_HOURS = "hour >= :start AND hour < :end"


def _bytes(named: tuple[str, ...]) -> str:
    wanted = " AND ".join(["kind = :kind", _HOURS, *(_WANTED[name] for name in named if name == "project_ids")])
    return f"""
  SELECT date_bin(:width, hour, :origin) AS bucket, project_id, bytes FROM usage_bytes
  WHERE {wanted} AND project_id <> ''"""


@cache
def _stored(keys: tuple[str, ...], named: tuple[str, ...]) -> TextClause:
    """Of hours in which nothing was kept there is only the row that says that somebody has looked."""
    by = ", ".join(keys)
    return text(f"""
WITH looked AS (
  SELECT date_bin(:width, hour, :origin) AS bucket, count(*) AS hours FROM usage_bytes
  WHERE kind = 'vector_stores' AND project_id = '' AND {_HOURS} GROUP BY 1)
SELECT {by}, CAST(round(sum(bytes) / min(hours)) AS bigint) AS bytes
FROM ({_bytes(named)}) AS kept JOIN looked USING (bucket) GROUP BY {by} ORDER BY {by}""")


@cache
def _kept_beyond(keys: tuple[str, ...], named: tuple[str, ...]) -> TextClause:
    by = ", ".join(keys)
    return text(f"""
SELECT {by}, CAST(sum(greatest(0, bytes - :free)) AS bigint) AS byte_hours
FROM ({_bytes(named)}) AS kept GROUP BY {by} ORDER BY {by}""")
