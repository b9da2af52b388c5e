"""The kinds of column that our tables are made of; defaults are the database's, since most rows are written by SQL."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, ForeignKey, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType
from sqlmodel import Field


def primary_key() -> Any:
    """An id of `shared/ids.py`; sorted by bytes whatever the database's locale, since ids sort in order of making."""
    return Field(sa_column=Column(Text(collation="C"), primary_key=True))


def project() -> Any:
    """The project that owns the row. Where rows come by the hundred a second it is no foreign key: each insert would
    lock the project's one row, and the row above (a thread, a run) vouches for it.
    """
    return Field(sa_column=Column(Text, nullable=False))


def reference(column: str) -> Any:
    """A row that goes when the row it refers to goes."""
    return Field(sa_column=Column(Text, ForeignKey(column, ondelete="CASCADE"), nullable=False))


def optional_reference(column: str) -> Any:
    """The same, where there may be no such row."""
    return Field(default=None, sa_column=Column(Text, ForeignKey(column, ondelete="CASCADE")))


def required_text(default: str | None = None) -> Any:
    """Text, never null."""
    return Field(sa_column=Column(Text, nullable=False, server_default=default))


def optional_text() -> Any:
    """Text or null."""
    return Field(default=None, sa_column=Column(Text))


def created_at() -> Any:
    """The instant of the statement that made the row; lists are ordered by it, then by id."""
    return Field(sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.now()))


def instant() -> Any:
    """An instant that may not have come."""
    return Field(default=None, sa_column=Column(DateTime(timezone=True)))


def required_instant() -> Any:
    """An instant that is known when the row is made."""
    return Field(sa_column=Column(DateTime(timezone=True), nullable=False))


def json(name: str | None = None, *, default: str) -> Any:
    """JSON, never null; `default` is SQL's spelling of it, such as `{}`."""
    column = Column(JSONB, nullable=False, server_default=text(f"'{default}'::jsonb"))
    if name is not None:
        column.name = column.key = name
    return Field(sa_column=column)


def optional_json() -> Any:
    """JSON or null (SQL's, not JSON's)."""
    return Field(default=None, sa_column=Column(JSONB(none_as_null=True)))


class HalfVector(UserDefinedType[str]):
    """pgvector's vector of half-precision numbers, of any length."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL."""
        return "halfvec"


def metadata() -> Any:
    """OpenAI's `metadata`; the attribute has another name because SQLModel uses this one itself."""
    return json("metadata", default="{}")


Instant = datetime
Json = dict[str, Any]
JsonList = list[Any]
