"""Uploads and their parts."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant


def _count() -> int:
    return Field(sa_column=Column(BigInteger, nullable=False, server_default=text("0")))


class Upload(SQLModel, table=True):
    """A file that is to come: what it will be, and how much of it came.

    `bytes` are declared, `received` counts every part, those too that were sent twice. Whoever completes or cancels it
    moves it out of `pending`, else the sweeper does, to `expired`. `parts_due_at` is when the sweeper may forget the
    parts, null once it has. The row itself is kept for a day, so that a late request hears how the upload ended.
    """

    __tablename__ = "uploads"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.reference("projects.id")
    created_at: Instant = columns.created_at()
    expires_at: Instant = columns.required_instant()
    parts_due_at: Instant | None = columns.instant()
    status: str = columns.required_text("pending")
    filename: str = columns.required_text()
    purpose: str = columns.required_text()
    mime_type: str = columns.required_text()
    bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    received: int = _count()
    parts: int = _count()
    file_expires_after_s: int | None = Field(default=None, sa_column=Column(Integer))

    __table_args__ = (
        Index("uploads_due", "parts_due_at", postgresql_where=text("parts_due_at IS NOT NULL")),
        Index("uploads_by_age", "expires_at"),
        CheckConstraint("status IN ('pending', 'completed', 'cancelled', 'expired')", name="uploads_status"),
    )


class UploadPart(SQLModel, table=True):
    """Some bytes of an upload. The row is written after its bytes, as with files."""

    __tablename__ = "upload_parts"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.project()
    upload_id: str = columns.reference("uploads.id")
    created_at: Instant = columns.created_at()
    bytes: int = Field(sa_column=Column(BigInteger, nullable=False))

    __table_args__ = (Index("upload_parts_of_upload", "upload_id"),)
