"""A row of a project in every table that there is, made of what the tables say of their columns."""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from sqlalchemy import Boolean, Column, Date, DateTime, Integer, LargeBinary, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlmodel import SQLModel

from shared.columns import HalfVector
from shared.database import Executor, to_json
from shared.migrations import TABLES

OF_THE_SYSTEM = {
    "admin_keys": "they are the organization's",
    "alembic_version": "Alembic's own",
    "audit_links": "the chain of all projects' entries; a trigger adds to it",
    "embedding_spaces": "they tell of models, and of no project",
    "store_sweeps": "when somebody last swept the file store",
}
"""Tables without a wall, and why they need none."""

APPEND_ONLY = "audit_entries"
"""Triggers refuse everything else, whoever tries."""

MINE, THEIRS = "proj_mine", "proj_theirs"

_CHOSEN = {
    "messages.role": "user",
    "removals.kind": "run",
    "run_steps.type": "message_creation",
    "run_steps.status": "completed",
    "run_steps.ended_at": "2026-01-01T00:00:00Z",
}
"""Where a column takes no value but some."""

_BY_TYPE: Mapping[type, Any] = {
    Boolean: True,
    Integer: 1,
    Date: "2026-01-01",
    DateTime: "2026-01-01T00:00:00Z",
    TSVECTOR: "'word'",
    HalfVector: "[1]",
    LargeBinary: "\\x00",
}


def walled() -> list[Table]:
    """Tables with projects' rows, parents first."""
    names = {str(model.__tablename__) for model in TABLES} - OF_THE_SYSTEM.keys()
    return [table for table in SQLModel.metadata.sorted_tables if table.name in names]


def row(table: Table, project_id: str) -> dict[str, Any]:
    """One of the project's, which refers to its rows of other tables."""
    wanted = [column for column in table.columns if _is_needed(column)]
    return {column.name: _value(column, project_id) for column in wanted}


async def fill(db: Executor, *project_ids: str) -> None:
    """Give each project its row in every table."""
    space = """INSERT INTO embedding_spaces (model, dimensions, "window") VALUES ('m', 1, 1)"""
    await db.all(text(space))
    for project_id in project_ids:
        for table in walled():
            await add(db, table, row(table, project_id))


async def add(db: Executor, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row."""
    columns = ", ".join(f'"{name}"' for name in values)
    read = f"jsonb_populate_record(CAST(NULL AS {table.name}), CAST(:row AS jsonb))"
    await db.all(text(f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {read}"), {"row": to_json(values)})


def _is_needed(column: Column[Any]) -> bool:
    chosen = f"{column.table.name}.{column.name}" in _CHOSEN
    return (
        chosen
        or column.primary_key
        or column.name == "project_id"
        or not (column.nullable or column.server_default is not None)
    )


def _value(column: Column[Any], project_id: str) -> Any:
    table = str(column.table.name)
    if (chosen := _CHOSEN.get(f"{table}.{column.name}")) is not None:
        return chosen
    if column.name == "project_id":
        return project_id
    for key in column.foreign_keys:
        return _value(key.column, project_id)
    if (table, column.name) == ("projects", "id"):
        return project_id
    if column.name == "thread_id":
        return f"threads of {project_id}"
    if column.name == "ingestion":  # also where it is no foreign key
        return f"vector_store_files of {project_id}"
    if isinstance(column.type, Uuid):
        return str(uuid5(NAMESPACE_OID, f"{table} of {project_id}"))
    if isinstance(column.type, Text):
        return f"{table} of {project_id}"
    return next(value for kind, value in _BY_TYPE.items() if isinstance(column.type, kind))
