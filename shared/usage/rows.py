"""What was used: facts, and what they add up to. None of it refers to anything that can be deleted, but by name."""

from datetime import date
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column, Date, DateTime, ForeignKey, Index, Integer, Text, text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant

BY_THE_HOUR = "date_bin('1 hour', at, '2001-01-01T00:00:00Z') = at"
"""In SQL: a row of minutes that stands for its whole hour, or for the first minute of it."""


def _name() -> Any:
    """An id or a name; empty where there is none, for null would keep rows from being added up."""
    return Field(sa_column=Column(Text(collation="C"), nullable=False, server_default=""))


def _key() -> Any:
    return Field(sa_column=Column(Text(collation="C"), primary_key=True))


def _few() -> Any:
    return Field(sa_column=Column(Integer, nullable=False, server_default=text("0")))


def _many() -> Any:
    return Field(sa_column=Column(BigInteger, nullable=False, server_default=text("0")))


class UsageFact(SQLModel, table=True):
    """Something was used: written once, never changed, and gone within seconds, when it has been added up. There is no
    index: it is read from beginning to end, and an index would cost every run something.

    `subject` is the model, or of a search the one store that it looked in.
    """

    __tablename__ = "usage_facts"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    __mapper_args__: ClassVar = {"primary_key": ["at", "project_id", "kind"]}  # that of the database is none
    at: Instant = columns.created_at()
    project_id: str = columns.project()
    api_key_id: str = _name()
    assistant_id: str = _name()
    kind: str = columns.required_text()
    subject: str = _name()
    requests: int = _few()
    input_tokens: int = _few()
    cached_tokens: int = _few()
    output_tokens: int = _few()


class UsageMinute(SQLModel, table=True):
    """What was used in a minute, or after two days in an hour: `at` is its beginning."""

    __tablename__ = "usage_minutes"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    kind: str = _key()
    at: Instant = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    project_id: str = _key()
    api_key_id: str = _key()
    subject: str = _key()
    requests: int = _many()
    input_tokens: int = _many()
    cached_tokens: int = _many()
    output_tokens: int = _many()

    __table_args__ = (Index("usage_minutes_not_hours", "at", postgresql_where=text(f"NOT ({BY_THE_HOUR})")),)


class UsageOfAssistant(SQLModel, table=True):
    """What runs of an assistant used on a day, UTC."""

    __tablename__ = "usage_of_assistants"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    assistant_id: str = _key()
    day: date = Field(sa_column=Column(Date, primary_key=True))
    kind: str = _key()
    subject: str = _key()
    project_id: str = columns.project()
    requests: int = _many()
    input_tokens: int = _many()
    cached_tokens: int = _many()
    output_tokens: int = _many()


class UsageBytes(SQLModel, table=True):
    """How many bytes a project kept in an hour: of `vector_stores`, or of `files`."""

    __tablename__ = "usage_bytes"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    kind: str = _key()
    hour: Instant = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    project_id: str = _key()
    bytes: int = _many()


class CodeHour(SQLModel, table=True):
    """The hour of a thread's that was counted last as a session of the code interpreter."""

    __tablename__ = "code_interpreter_hours"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    thread_id: str = Field(sa_column=Column(Text, primary_key=True))
    began_at: Instant = columns.required_instant()


class Budget(SQLModel, table=True):
    """What a project may spend in a month, UTC: from `alert_cents` on its owners are told, once for the month that
    begins on `alerted_for`; from `limit_cents` on it is over (`Project.exhausted_until`).
    """

    __tablename__ = "budgets"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    project_id: str = Field(sa_column=Column(Text, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True))
    limit_cents: int | None = Field(default=None, sa_column=Column(BigInteger))
    alert_cents: int | None = Field(default=None, sa_column=Column(BigInteger))
    alerted_for: date | None = Field(default=None, sa_column=Column(Date))
