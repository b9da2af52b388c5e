"""The plain statements that every noun needs: get, insert, modify, delete, one page.

A row is found by its keys, and every caller names `project_id` among them where rows have one: whoever doesn't gets a
LookupError. Table and column names come from our code alone, values are always parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import ClauseElement, Table, TextClause, insert, text, update
from sqlmodel import SQLModel

from shared.audit.statements import note
from shared.database import Executor, Row, to_json
from shared.errors import InvalidRequest
from shared.ids import Kind, is_well_formed
from shared.tracing.sql import named

Keys = Mapping[str, Any]

KINDS: dict[str, Kind] = {
    "assistants": "asst",
    "threads": "thread",
    "messages": "msg",
    "runs": "run",
    "run_steps": "step",
    "files": "file",
    "vector_stores": "vs",
    "vector_store_files": "file",
    "projects": "proj",
    "service_accounts": "svc_acct",
    "api_keys": "key",
    "admin_keys": "key",
    "audit_entries": "audit_log",
}
"""By which prefix the ids of a listed table are known."""

_OF_THREAD = "NOT EXISTS (SELECT FROM threads WHERE threads.id = :thread_id AND threads.deleted_at IS NOT NULL)"
_OF_STORE = """NOT EXISTS (
SELECT FROM vector_stores WHERE vector_stores.id = :vector_store_id AND vector_stores.deleted_at IS NOT NULL)"""

LIVING = {
    "threads": ("id", "deleted_at IS NULL"),
    "vector_stores": ("id", "deleted_at IS NULL"),
    "projects": ("id", "deleted_at IS NULL"),
    "messages": ("thread_id", _OF_THREAD),
    "runs": ("thread_id", _OF_THREAD),
    "run_steps": ("thread_id", _OF_THREAD),
    "vector_store_files": ("vector_store_id", _OF_STORE),
    "vector_store_batches": ("vector_store_id", _OF_STORE),
}
"""What was deleted is gone for every reader before its rows are (`shared/removals`): by which condition, and with which
key it is looked at. Those who name no thread or store have looked for it before.
"""

OF_ALL_PROJECTS = {"audit_entries"}
"""What only the organization reads, whichever project it tells of."""

REMOVED = {"vector_store_files": "vector_store_files_removed"}
"""Where the places of removed rows are kept, for tables whose ids don't tell them."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: `limit` rows in `order` of creation, after or before the row of that id."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Only:
    """A condition that leaves some rows of a list: SQL from our code, and its parameters. A cursor needn't meet it."""

    sql: str
    params: Mapping[str, Any]


ALL = Only("true", {})


def with_metadata(pairs: Mapping[str, str], where: str = "true") -> Only:
    """Only rows whose metadata hold all of these pairs, and `where` something else is true of them."""
    if not pairs:
        return ALL
    return Only(f"metadata @> CAST(:pairs AS jsonb) AND {where}", {"pairs": to_json(pairs)})


@dataclass(frozen=True, slots=True)
class Order:
    """By which instant rows are ordered (ids decide between equal ones), and where it is found: in the table itself, or
    in a relation of its name that has more columns.
    """

    column: str = "created_at"
    relation: str | None = None


CREATION = Order()


@dataclass(frozen=True, slots=True)
class Listing:
    """One page, and whether there is another one beyond it."""

    rows: Sequence[Row]
    has_more: bool


async def get(db: Executor, model: type[SQLModel], keys: Keys) -> Row | None:
    """The row with these keys."""
    return await db.one(_select(_within(model, keys).name, tuple(keys)), keys)


async def add(db: Executor, model: type[SQLModel], values: Mapping[str, Any]) -> Row:
    """Insert a row and return it with the database's defaults."""
    table = _table(model)
    row = await db.one(insert(table).returning(*table.c), values)
    if row is None:
        raise LookupError(f"INSERT INTO {table.name} returned no row")
    return row


async def modify(db: Executor, model: type[SQLModel], keys: Keys, values: Mapping[str, Any]) -> Row | None:
    """Set `values` (none is allowed), of which some may be SQL, and return the row; None if there is no such row."""
    if not values:
        return await get(db, model, keys)
    table = _within(model, keys)
    which = *_equal(table, keys), _living_one(table.name, keys)
    terms = {name: value for name, value in values.items() if isinstance(value, ClauseElement)}
    params = {name: value for name, value in values.items() if name not in terms}
    return await db.one(update(table).where(*which).values(terms).returning(*table.c), params)


async def remove(db: Executor, model: type[SQLModel], keys: Keys, entry: str) -> bool:
    """Delete the row and what the database cascades to, and note the entry; False if there was none, and no entry."""
    return await db.one(_delete(_within(model, keys).name, tuple(keys)), {**keys, "entry": entry}) is not None


async def page(
    db: Executor, model: type[SQLModel], keys: Keys, page: Page, only: Only = ALL, order: Order = CREATION
) -> Listing:
    """One page of the rows with these keys, by (created_at, id) or another `order`: constant time at any depth.

    A cursor whose row was deleted still marks its place where rows are ordered by creation, for clients delete while
    they page: ids sort by their making, or else the place is kept (`REMOVED`). Raises InvalidRequest if `after` or
    `before` is no place in this list.
    """
    table = _within(model, keys)
    shape = _Shape(order.relation or table.name, order.column, tuple(keys), only.sql, page.order)
    backwards = page.before is not None and page.after is None
    cursors = {
        param: cursor for param, cursor in (("after", page.after), ("before", page.before)) if cursor is not None
    }
    params = {**keys, **only.params, **cursors, "limit": page.limit + 1}
    rows = await db.all(_select_page(shape, tuple(cursors), ()), params)
    if not rows and (gone := await _gone(db, model, keys, cursors, order)):
        rows = await db.all(_select_page(shape, tuple(cursors), gone), params)
    rows, has_more = rows[: page.limit], len(rows) > page.limit
    return Listing(rows[::-1] if backwards else rows, has_more)


async def _gone(
    db: Executor, model: type[SQLModel], keys: Keys, cursors: Mapping[str, str], order: Order
) -> tuple[str, ...]:
    """Which of the cursors name no row of this list (any more); what another list or project has is not told apart.
    Raises InvalidRequest for those that can't be ids of this kind at all, and for all where ids don't tell places.
    """
    gone: list[str] = []
    for param, cursor in cursors.items():
        if await get(db, model, {**keys, "id": cursor}) is not None:
            continue
        name = _table(model).name
        if name in REMOVED and await db.one(_select(REMOVED[name], (*keys, "id")), {**keys, "id": cursor}) is not None:
            continue
        if order.column != CREATION.column or name in REMOVED or not is_well_formed(cursor, KINDS[name]):
            raise InvalidRequest(f"Invalid '{param}': no object with id '{cursor}' in this list.", param=param)
        gone.append(param)
    return tuple(gone)


@cache
def _select(table: str, keys: tuple[str, ...]) -> TextClause:
    return named(f"get {table}", f"SELECT * FROM {table} WHERE {_where(keys)} AND {_living(table, keys)}")


@cache
def _delete(table: str, keys: tuple[str, ...]) -> TextClause:
    gone = f"DELETE FROM {table} WHERE {_where(keys)} AND {_living(table, keys)} RETURNING id"
    return named(f"delete {table}", f"WITH gone AS ({gone}), {note('gone')} SELECT id FROM gone")


class _Shape(NamedTuple):
    """What of a list decides the text of its statement: everything but the values."""

    relation: str
    instant: str
    keys: tuple[str, ...]
    only: str
    order: str


@cache
def _select_page(shape: _Shape, cursors: tuple[str, ...], gone: tuple[str, ...]) -> TextClause:
    """`before` alone is walked from its cursor backwards, so that the page nearest to the cursor is returned."""
    relation, instant, keys, only, order = shape
    conditions = [_where(keys), only, _living(relation, keys)]
    for cursor in cursors:
        sign = "<" if (order == "desc") == (cursor == "after") else ">"
        place = f"SELECT {instant}, id FROM {relation} WHERE id = :{cursor} AND {_where(keys)}"
        if relation in REMOVED:  # it may have been removed, and put in again since
            former = place.replace(relation, REMOVED[relation], 1)
            place = f"{place} UNION ALL {former} ORDER BY {instant} DESC LIMIT 1"
        conditions.append(f"id {sign} :{cursor}" if cursor in gone else f"({instant}, id) {sign} ({place})")
    walk = {"asc": "desc", "desc": "asc"}[order] if cursors == ("before",) else order
    return named(
        f"page {relation}",
        f"SELECT * FROM {relation} WHERE {' AND '.join(conditions)} ORDER BY {instant} {walk}, id {walk} LIMIT :limit",
    )


def _where(keys: tuple[str, ...]) -> str:
    """The tables of the organization itself are listed whole, by no keys."""
    return " AND ".join(f"{key} = :{key}" for key in keys) or "true"


def _living(table: str, keys: tuple[str, ...]) -> str:
    """The condition that leaves out what has been deleted."""
    key, condition = LIVING.get(table, ("id", "true"))
    return condition if key == "id" or key in keys else "true"


def _living_one(table: str, keys: Keys) -> TextClause:
    condition = _living(table, tuple(keys))
    key = LIVING.get(table, ("id", ""))[0]
    return text(condition).bindparams(**{key: keys[key]}) if f":{key}" in condition else text(condition)


def _equal(table: Table, keys: Keys) -> list[Any]:
    return [table.c[key] == value for key, value in keys.items()]


def _within(model: type[SQLModel], keys: Keys) -> Table:
    """The model's table. Raises LookupError where rows of all projects would be found."""
    table = _table(model)
    if "project_id" in table.c and "project_id" not in keys and table.name not in OF_ALL_PROJECTS:
        raise LookupError(f"{table.name} were asked for within no project")
    return table


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]
