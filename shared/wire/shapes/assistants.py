"""Assistants."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from shared.wire.fields import ReasoningEffort
from shared.wire.shapes.tools import AnyFormat, AnyTool, Resources
from shared.wire.shapes.usage import AssistantFacts


class AssistantObject(TypedDict):
    """An assistant; `reasoning_effort` is ours, and `assistantd` where it is asked for."""

    id: str
    object: Literal["assistant"]
    created_at: int
    name: str | None
    description: str | None
    model: str
    instructions: str | None
    tools: list[AnyTool]
    tool_resources: Resources
    metadata: dict[str, str]
    temperature: float
    top_p: float
    reasoning_effort: ReasoningEffort | None
    response_format: AnyFormat
    file_ids: NotRequired[list[str]]  # v1
    assistantd: NotRequired[AssistantFacts]


class AssistantFileObject(TypedDict):
    """A file of an assistant; v1."""

    id: str
    object: Literal["assistant.file"]
    created_at: int
    assistant_id: str
