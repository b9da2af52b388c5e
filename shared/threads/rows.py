"""Threads and their messages."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Text, text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant, Json, JsonList


class Thread(SQLModel, table=True):
    """A conversation. A deleted one is gone for everybody but the worker that removes it."""

    __tablename__ = "threads"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.project()
    created_at: Instant = columns.created_at()
    tool_resources: Json = columns.json(default="{}")
    meta: Json = columns.metadata()
    deleted_at: Instant | None = columns.instant()

    __table_args__ = (
        Index("threads_deleted", "deleted_at", "id", postgresql_where=text("deleted_at IS NOT NULL")),
        Index("threads_listed", "project_id", "created_at", "id"),
        Index(
            "threads_metadata",
            "metadata",
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
            postgresql_where=text("metadata <> '{}'::jsonb"),
        ),
        Index(
            "threads_files",
            text("(tool_resources #> '{code_interpreter,file_ids}')"),
            postgresql_using="gin",
            postgresql_where=text("tool_resources <> '{}'::jsonb"),
        ),
    )


class ThreadActivity(SQLModel, table=True):
    """When something last happened on a thread: its own creation, its newest message, its newest run. It never goes
    back, also when that message is deleted.

    It is a row that is written with what happens, by the same statement, and not worked out when somebody asks.
    Working it out means walking the project's newest messages and runs and leaving out all but the newest of each
    thread: one thread of a million messages makes a page cost a million looks, and the index that the walk needs, on
    `runs`, would be written at every move of a run, since none of them is a heap-only update. Nor is it a column of
    `threads`: that row is wide, has more indexes (one of them on metadata), and all would be written anew each time.
    This one has some forty bytes and two index entries, twice or thrice a run.

    Nobody waits for it. Who finds the row locked leaves it alone, for whoever holds it is writing an instant of about
    now; a settling worker depends on no client's transaction. A thread that is deleted locks runs, this row, the
    thread, in that order; those who write it lock a run, then this row, then (by foreign keys) the thread.
    """

    __tablename__ = "thread_activity"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    thread_id: str = Field(
        sa_column=Column(Text(collation="C"), ForeignKey("threads.id", ondelete="CASCADE"), primary_key=True)
    )
    project_id: str = columns.project()
    active_at: Instant = columns.required_instant()

    __table_args__ = (Index("thread_activity_listed", "project_id", "active_at", "thread_id"),)


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
        Index(
            "messages_with_files",
            "thread_id",
            postgresql_where=text("attachments <> '[]'::jsonb OR file_ids <> '[]'::jsonb"),
        ),
        CheckConstraint("role IN ('user', 'assistant')", name="messages_role"),
        CheckConstraint("status IN ('completed', 'incomplete')", name="messages_status"),
        CheckConstraint("(incomplete_reason IS NOT NULL) = (status = 'incomplete')", name="messages_incomplete"),
    )
