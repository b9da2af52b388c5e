"""The SQL of exports and imports."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import TextClause, text
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from shared.tracing.sql import named
from shared.transfer.kinds import Kind
from shared.vault.contents import Purpose

AT_ONCE = 500  # rows in memory

# Whatever is read until END is as it was at BEGIN. Rows of tables that change meanwhile can't be vacuumed until then,
# which is why the contents of files are copied later.
BEGIN = text("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
END = text("COMMIT")

_OF_PROJECT = "SELECT * FROM {table} WHERE project_id = :project_id{living} ORDER BY created_at, id"
_LIVING = " AND deleted_at IS NULL"

# What belongs to threads is found by their threads: only these have an index by project.
_OF_THREADS = """
SELECT {table}.* FROM threads JOIN {table} ON {table}.thread_id = threads.id WHERE threads.project_id = :project_id
AND deleted_at IS NULL
ORDER BY threads.created_at, threads.id, {table}.created_at, {table}.id"""

_ROWS = {
    "files": _OF_PROJECT.format(table="files", living=""),
    "vector_stores": _OF_PROJECT.format(table="vector_stores", living=_LIVING),
    "vector_store_files": """
SELECT file.* FROM vector_stores AS store JOIN vector_store_files AS file ON vector_store_id = store.id
WHERE store.project_id = :project_id AND deleted_at IS NULL
ORDER BY store.created_at, store.id, file.created_at, file.id""",
    "assistants": _OF_PROJECT.format(table="assistants", living=""),
    "threads": """
SELECT threads.*, active_at FROM threads LEFT JOIN thread_activity ON thread_id = threads.id
WHERE threads.project_id = :project_id AND deleted_at IS NULL ORDER BY created_at, id""",
    "messages": _OF_THREADS.format(table="messages"),
    "runs": _OF_THREADS.format(table="runs"),
    "run_steps": """
SELECT run_steps.* FROM threads JOIN runs ON runs.thread_id = threads.id JOIN run_steps ON run_id = runs.id
WHERE threads.project_id = :project_id AND deleted_at IS NULL
ORDER BY threads.created_at, threads.id, runs.created_at, runs.id, position""",
}

DECLARE = {name: text(f"DECLARE of_{name} NO SCROLL CURSOR FOR {sql}") for name, sql in _ROWS.items()}
FETCH = {name: text(f"FETCH {AT_ONCE} FROM of_{name}") for name in _ROWS}
CLOSE = {name: text(f"CLOSE of_{name}") for name in _ROWS}

# One import at a time: two that made the same file would both store its bytes.
LOCK = text("SELECT pg_try_advisory_lock(hashtextextended('assistantd import', 3)) AS locked")

FILE = text("SELECT project_id, sha256 FROM files WHERE id = :id")

UNCOMPARED = frozenset({"position", "term", "ingestion", "last_active_at", "expires_at", "expired_at", "rung_at"})
"""Columns that may differ between what is there and what is to be imported: what follows from the order of lines, and
what time and use have changed since."""


SECRETS: tuple[Purpose, ...] = ("instructions", "content", "details", "required_action")
"""Columns that may be sealed, each time otherwise: they are compared once they are open."""


@cache
def insert(kind: Kind, columns: tuple[str, ...]) -> TextClause:
    """Add `:rows` (JSON) of these columns to the project, those whose parents are there and whose ids are free; returns
    the ids of those added.
    """
    listed = ", ".join(columns)
    new = ", ".join(f"new.{column}" for column in columns)
    more = _ACTIVITY.get(kind.name, "")
    return named(
        f"transfer.insert {kind.name}",
        f"""
WITH new AS ({_new(kind, columns)}),
  added AS (
  INSERT INTO {kind.table} (project_id, {listed})
  SELECT CAST(:project_id AS text), {new} FROM new {_parents(kind, "JOIN")}
  ON CONFLICT DO NOTHING RETURNING *){more}
SELECT id FROM added""",
    )


@cache
def look(kind: Kind, columns: tuple[str, ...]) -> TextClause:
    """What there is in the place of `:rows`: for each its `id`, whether its parents are there (`belongs`), whether
    something of the project is in its place (`ours`), and whether that is the `same`, but for `SECRETS`: these are
    returned as they are there.
    """
    living = _LIVING.replace("deleted_at", "kept.deleted_at") if kind.table in _DELETED_LATER else ""
    same = " AND ".join(_same(column) for column in columns if column not in UNCOMPARED.union(SECRETS)) or "true"
    kept = "".join(
        f", CASE WHEN kept.project_id = :project_id THEN kept.{column} END AS {column}"
        for column in columns
        if column in SECRETS
    )
    whole = " AND ".join(f"{table}.id IS NOT NULL" for _, table in kind.parents) or "true"
    keys = [column for column, _ in kind.parents] if kind.name == "vector_store_files" else ["id"]
    place = " AND ".join(f"kept.{key} = new.{key}" for key in keys)
    return named(
        f"transfer.look {kind.name}",
        f"""
WITH new AS ({_new(kind, columns)})
SELECT new.id, {whole} AS belongs, coalesce(kept.project_id = :project_id{living}, false) AS ours,
  coalesce(kept.project_id = :project_id{living} AND {same}, false) AS same{kept}
FROM new {_parents(kind, "LEFT JOIN")} LEFT JOIN {kind.table} AS kept ON {place}""",
    )


# A thread is as active as what is imported into it is new.
_NEWER = """,
  newest AS (SELECT thread_id, max(created_at) AS at FROM added GROUP BY thread_id),
  active AS (
  UPDATE thread_activity SET active_at = at FROM newest
  WHERE thread_activity.thread_id = newest.thread_id AND active_at < at)"""

_ACTIVITY = {
    "threads": """,
  begun AS (
  INSERT INTO thread_activity (thread_id, project_id, active_at)
  SELECT added.id, added.project_id, greatest(added.created_at, told.active_at)
  FROM added JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS told(id text, active_at timestamptz) USING (id))""",
    "messages": _NEWER,
    "runs": _NEWER,
}


def _new(kind: Kind, columns: Sequence[str]) -> str:
    table = SQLModel.metadata.tables[kind.table]
    dialect = postgresql.dialect()
    typed = ", ".join(f"{name} {table.c[name].type.compile(dialect)}" for name in columns)
    return f"SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new({typed})"


def _parents(kind: Kind, join: str) -> str:
    return " ".join(
        f"{join} {table} ON {table}.id = new.{column} AND {table}.project_id = :project_id"
        f"{_LIVING if table in _DELETED_LATER else ''}"
        for column, table in kind.parents
    )


_DELETED_LATER = ("threads", "vector_stores")


def _same(column: str) -> str:
    """Times are compared as clients see them: a dump's order decides between those of one second."""
    if column.endswith("_at"):
        return f"date_trunc('second', kept.{column}) IS NOT DISTINCT FROM date_trunc('second', new.{column})"
    return f"kept.{column} IS NOT DISTINCT FROM new.{column}"
