"""Threads and their messages."""

from sqlalchemy import CheckConstraint, Index
from sqlmodel import SQLModel

from shared import columns
from shared.columns import Instant, Json, JsonList


class Thread(SQLModel, table=True):
    """A conversation."""

    __tablename__ = "threads"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.project()
    created_at: Instant = columns.created_at()
    tool_resources: Json = columns.json(default="{}")
    meta: Json = columns.metadata()

    __table_args__ = (Index("threads_listed", "project_id", "created_at", "id"),)


class Message(SQLModel, table=True):
    """What somebody said. `run_id` and `assistant_id` stay when the run or the assistant goes."""

    __tablename__ = "messages"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.project()
    thread_id: str = columns.reference("threads.id")
    created_at: Instant = columns.created_at()
    role: str = columns.required_text()
    content: JsonList = columns.json(default="[]")
    attachments: JsonList = columns.json(default="[]")
    file_ids: JsonList = columns.json(default="[]")  # v1 alone
    assistant_id: str | None = columns.optional_text()
    run_id: str | None = columns.optional_text()
    status: str = columns.required_text("completed")
    incomplete_reason: str | None = columns.optional_text()
    ended_at: Instant | None = columns.instant()
    meta: Json = columns.metadata()

    __table_args__ = (
        Index("messages_listed", "thread_id", "created_at", "id"),
        CheckConstraint("role IN ('user', 'assistant')", name="messages_role"),
        CheckConstraint("status IN ('completed', 'incomplete')", name="messages_status"),
        CheckConstraint("(incomplete_reason IS NOT NULL) = (status = 'incomplete')", name="messages_incomplete"),
    )
