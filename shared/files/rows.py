"""Files: the facts about them. Their bytes are in the blob store under the file's id."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant


class File(SQLModel, table=True):
    """An uploaded or generated file. The row is written after its bytes: a crash between leaves bytes without a row,
    never a row without bytes.
    """

    __tablename__ = "files"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.reference("projects.id")
    created_at: Instant = columns.created_at()
    expires_at: Instant | None = columns.instant()
    filename: str = columns.required_text()
    purpose: str = columns.required_text()
    bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    sha256: str = columns.required_text()

    __table_args__ = (
        Index("files_listed", "project_id", "created_at", "id"),
        Index("files_listed_by_purpose", "project_id", "purpose", "created_at", "id"),
        Index("files_by_content", "project_id", "sha256"),
        Index("files_expiring", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    )


class StoreSweep(SQLModel, table=True):
    """When the store was last looked through for bytes without a row: one row, which the first sweep writes."""

    __tablename__ = "store_sweeps"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    one: bool = Field(default=True, sa_column=Column(Boolean, primary_key=True))
    begun_at: Instant = columns.created_at()

    __table_args__ = (CheckConstraint("one", name="store_sweeps_one_row"),)
