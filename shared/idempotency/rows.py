"""Keys that were used, and what was answered."""

from sqlalchemy import Column, Index, Integer, Text, text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant


class IdempotencyKey(SQLModel, table=True):
    """One key of one project. A streamed answer is kept as the run and the event after which its stream began. The
    answer goes with its `subject`: the thread or vector store that it tells of or from, else what it tells of.
    """

    __tablename__ = "idempotency_keys"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    project_id: str = Field(sa_column=Column(Text, primary_key=True))
    key: str = Field(sa_column=Column(Text, primary_key=True))
    created_at: Instant = columns.created_at()
    fingerprint: str = columns.required_text()
    status: int | None = Field(default=None, sa_column=Column(Integer))
    body: str | None = columns.optional_text()
    run_id: str | None = columns.optional_text()
    thread_id: str | None = columns.optional_text()
    stream_after: str | None = columns.optional_text()
    subject: str | None = columns.optional_text()

    __table_args__ = (
        Index("idempotency_keys_by_subject", "subject", postgresql_where=text("subject IS NOT NULL")),
        Index("idempotency_keys_by_age", "created_at"),
    )
