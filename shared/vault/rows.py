"""The tables of `vault`."""

from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, Uuid, text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant


class DataKey(SQLModel, table=True):
    """A project's key, wrapped by the master key of that name. One is in use; those that have `retired_at` only open
    what they sealed. A project that is deleted takes its keys along. The one without a project is what clients' keys
    are hashed by, and never retires: the hashes can't be made anew.
    """

    __tablename__ = "data_keys"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    project_id: str | None = columns.optional_reference("projects.id")
    master: str = columns.required_text()
    wrapped: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: Instant = columns.created_at()
    retired_at: Instant | None = columns.instant()

    __table_args__ = (
        Index("data_keys_in_use", "project_id", unique=True, postgresql_where=text("retired_at IS NULL")),
        Index("data_keys_of_project", "project_id"),
        Index(
            "data_keys_of_organization",
            text("(project_id IS NULL)"),
            unique=True,
            postgresql_where=text("project_id IS NULL"),
        ),
        CheckConstraint("project_id IS NOT NULL OR retired_at IS NULL", name="data_keys_never_retired"),
    )
