"""Assistants on the wire."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from shared.database import Row
from shared.wire import limits
from shared.wire.fields import (
    Body,
    Dialect,
    FileIdentifier,
    Metadata,
    ReasoningEffort,
    ResponseFormat,
    Temperature,
    Tool,
    ToolResources,
    TopP,
    names_apart,
    shown_tools,
    stored_format,
    stored_tools,
)
from shared.wire.objects import seconds
from shared.wire.shapes.assistants import AssistantObject

Model = Annotated[str, StringConstraints(min_length=1, max_length=limits.MODEL_NAME)]


class _Assistant(Body):
    name: Annotated[str, StringConstraints(max_length=limits.ASSISTANT_NAME)] | None = None
    description: Annotated[str, StringConstraints(max_length=limits.ASSISTANT_DESCRIPTION)] | None = None
    instructions: Annotated[str, StringConstraints(max_length=limits.INSTRUCTIONS)] | None = None
    tools: (
        Annotated[list[Tool], Field(max_length=limits.ASSISTANT_TOOLS, fail_fast=True), AfterValidator(names_apart)]
        | None
    ) = None
    tool_resources: ToolResources | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    reasoning_effort: ReasoningEffort | None = None
    response_format: ResponseFormat | None = None
    metadata: Metadata | None = None
    file_ids: Annotated[list[FileIdentifier], Field(max_length=limits.V1_ASSISTANT_FILES, fail_fast=True)] | None = (
        None  # v1 alone
    )

    def columns(self) -> dict[str, Any]:
        """The columns that the client set, with their values; null empties a list or an object."""
        columns = self.given("name", "description", "instructions", "temperature", "top_p", "reasoning_effort")
        for name, value in {
            "tools": stored_tools(self.tools or []),
            "tool_resources": self.tool_resources.plain() if self.tool_resources else {},
            "response_format": stored_format(self.response_format),
            "metadata": self.metadata or {},
            "file_ids": self.file_ids or [],
        }.items():
            if name in self.model_fields_set:
                columns[name] = value
        return columns

    def referred_files(self) -> list[str]:
        """Files that have to exist."""
        return [*(self.file_ids or []), *(self.tool_resources.file_ids() if self.tool_resources else [])]


class CreateAssistant(_Assistant):
    """POST /assistants."""

    model: Model

    def columns(self) -> dict[str, Any]:
        """The columns of the new row."""
        return {**super().columns(), "model": self.model}


class ModifyAssistant(_Assistant):
    """POST /assistants/{assistant_id}: what is absent stays as it is."""

    model: Model | None = None

    def columns(self) -> dict[str, Any]:
        """The columns to change."""
        return super().columns() | ({} if self.model is None else {"model": self.model})


class CreateAssistantFile(Body):
    """POST /assistants/{assistant_id}/files; v1 alone."""

    file_id: FileIdentifier


def assistant_object(row: Row, dialect: Dialect) -> AssistantObject:
    """A row of `assistants` as an OpenAI object."""
    shown: AssistantObject = {
        "id": row["id"],
        "object": "assistant",
        "created_at": seconds(row["created_at"]),
        "name": row["name"],
        "description": row["description"],
        "model": row["model"],
        "instructions": row["instructions"],
        "tools": shown_tools(row["tools"], dialect),
        "tool_resources": row["tool_resources"],
        "metadata": row["metadata"],
        "temperature": 1.0 if row["temperature"] is None else row["temperature"],
        "top_p": 1.0 if row["top_p"] is None else row["top_p"],
        "reasoning_effort": row["reasoning_effort"],
        "response_format": "auto" if row["response_format"] is None else row["response_format"],
    }
    if dialect == "v1":
        shown["file_ids"] = row["file_ids"]
    return shown
