"""Notes of what is still to be removed."""

from sqlalchemy import CheckConstraint, Column, Index, Text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant


class Removal(SQLModel, table=True):
    """Something is gone, and this is left of it: by `kind`, chunks of an ingestion, bytes of a file and references to
    it, the log of a run, kept answers about an assistant, the sandbox's session of a thread.
    """

    __tablename__ = "removals"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    kind: str = Field(sa_column=Column(Text, primary_key=True))
    id: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    project_id: str = columns.project()
    noted_at: Instant = columns.created_at()

    __table_args__ = (
        Index("removals_in_order", "kind", "noted_at", "id"),
        CheckConstraint("kind IN ('assistant', 'file', 'ingestion', 'run', 'session')", name="removals_kind"),
    )
