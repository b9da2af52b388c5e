"""The spaces that vectors are in."""

from sqlalchemy import Column, Identity, Integer, UniqueConstraint
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant


class EmbeddingSpace(SQLModel, table=True):
    """What made vectors: a model, asked for so many dimensions, told at most `window` tokens of a text at a time."""

    __tablename__ = "embedding_spaces"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: int = Field(sa_column=Column(Integer, Identity(always=True), primary_key=True))
    created_at: Instant = columns.created_at()
    model: str = columns.required_text()
    dimensions: int = Field(sa_column=Column(Integer, nullable=False))
    window: int = Field(sa_column=Column(Integer, nullable=False))

    __table_args__ = (UniqueConstraint("model", "dimensions", "window", name="embedding_spaces_one_each"),)
