"""Projects and the keys that open them."""

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant


class Project(SQLModel, table=True):
    """The owner of everything else: one tenant."""

    __tablename__ = "projects"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    created_at: Instant = columns.created_at()
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))


class ApiKey(SQLModel, table=True):
    """A key to a project. The key itself is nowhere: only its hash, and a hint by which its owner knows it again."""

    __tablename__ = "api_keys"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    created_at: Instant = columns.created_at()
    project_id: str = columns.reference("projects.id")
    hash: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    hint: str = columns.required_text()
    revoked_at: Instant | None = columns.instant()

    __table_args__ = (Index("api_keys_of_project", "project_id"),)
