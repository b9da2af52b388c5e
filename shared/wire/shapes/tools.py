"""Parts that assistants, threads and runs share."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from shared.wire.fields import (
    FunctionChoice,
    JsonObjectFormat,
    JsonSchemaFormat,
    TextFormat,
    Tool,
    ToolTypeChoice,
)

AnyTool = Tool  # v1 is shown `retrieval` where v2 is shown `file_search`
AnyFormat = Literal["auto"] | TextFormat | JsonObjectFormat | JsonSchemaFormat
AnyChoice = Literal["none", "auto", "required"] | FunctionChoice | ToolTypeChoice


class CodeFiles(TypedDict):
    """Files that code finds."""

    file_ids: NotRequired[list[str]]


class SearchedStores(TypedDict):
    """Vector stores that are searched; one at most."""

    vector_store_ids: NotRequired[list[str]]


class Resources(TypedDict):
    """What tools work with."""

    code_interpreter: NotRequired[CodeFiles]
    file_search: NotRequired[SearchedStores]
