"""Assistants."""

from typing import Any

from sqlalchemy import Column, Float, Index
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant, Json, JsonList


class Assistant(SQLModel, table=True):
    """What a run starts from: a model, instructions, tools. A run copies what it uses, so that later changes and even
    deletion leave it alone.
    """

    __tablename__ = "assistants"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.reference("projects.id")
    created_at: Instant = columns.created_at()
    model: str = columns.required_text()
    name: str | None = columns.optional_text()
    description: str | None = columns.optional_text()
    instructions: str | None = columns.optional_text()
    tools: JsonList = columns.json(default="[]")
    tool_resources: Json = columns.json(default="{}")
    file_ids: JsonList = columns.json(default="[]")  # v1 alone
    temperature: float | None = Field(default=None, sa_column=Column(Float))
    top_p: float | None = Field(default=None, sa_column=Column(Float))
    reasoning_effort: str | None = columns.optional_text()
    response_format: Any = columns.optional_json()
    meta: Json = columns.metadata()

    __table_args__ = (Index("assistants_listed", "project_id", "created_at", "id"),)
