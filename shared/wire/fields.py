"""Parts that several request bodies share. Every body refuses fields that it doesn't know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from shared import ids
from shared.errors import InvalidRequest
from shared.ids import Kind
from shared.wire import limits

Dialect = Literal["v1", "v2"]


class Body(BaseModel):
    """A request body or an object in one: unknown fields are refused, and numbers are not made of strings."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _first_unknown(cls, value: Any) -> Any:
        """One finding is enough: a million unknown fields would make a million of them, and seconds of work."""
        if isinstance(value, Mapping) and len(value) > len(cls.model_fields):  # pyright: ignore[reportUnknownArgumentType]
            known = {field.alias or name for name, field in cls.model_fields.items()}
            unknown = next((str(name) for name in value if name not in known), "")  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            raise PydanticCustomError("extra_forbidden", "Unknown parameter", {"unknown": unknown})
        return value  # pyright: ignore[reportUnknownVariableType]

    def given(self, *names: str) -> dict[str, Any]:
        """The fields of `names` that the client sent, as plain JSON values; absent is not the same as null."""
        return self.model_dump(mode="json", include=set(names) & self.model_fields_set, exclude_unset=True)

    def plain(self) -> dict[str, Any]:
        """What the client sent, as plain JSON values. In an object within a body null says no more than absence, and
        the objects that we show have no room for it.
        """
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True, by_alias=True)


def bounded_pairs(value: Any) -> Any:
    """Count first: one message about seventeen pairs says more than seventeen about nothing."""
    if isinstance(value, Mapping) and len(value) > limits.METADATA_PAIRS:  # pyright: ignore[reportUnknownArgumentType]
        raise PydanticCustomError(
            "object_above_max_properties",
            "too many properties. Expected an object with at most {limit} properties, but got an object with {given} "
            "properties instead.",
            {"limit": limits.METADATA_PAIRS, "given": len(value)},  # pyright: ignore[reportUnknownArgumentType]
        )
    return value


MetadataKey = Annotated[str, StringConstraints(max_length=limits.METADATA_KEY)]
MetadataValue = Annotated[str, StringConstraints(max_length=limits.METADATA_VALUE)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], BeforeValidator(bounded_pairs)]


def shallow(value: dict[str, Any]) -> dict[str, Any]:
    """Nothing that reads JSON goes deeper than some hundred levels; no schema needs half of that."""
    level: list[Any] = [value]
    for _ in range(limits.JSON_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return value
    raise PydanticCustomError(
        "invalid_value", "nested too deeply. Expected at most {limit} levels.", {"limit": limits.JSON_DEPTH}
    )


def _children(node: Any) -> list[Any]:
    if isinstance(node, Mapping):
        return list(node.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return node if isinstance(node, list) else []  # pyright: ignore[reportUnknownVariableType]


AnyObject = Annotated[dict[str, Any], AfterValidator(shallow)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256)]


@dataclass(frozen=True)
class _BeginsWith:
    prefix: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^{self.prefix}"}

    def _check(self, value: str) -> str:
        if not value.startswith(self.prefix):
            raise PydanticCustomError(
                "invalid_id",
                "'{value}'. Expected an ID that begins with '{word}'.",
                {"value": value, "word": self.prefix.rstrip("_-")},
            )
        return value


def begins_with(kind: Kind) -> _BeginsWith:
    """Tell a mixed-up argument from an unknown object: clients pass ids in the wrong order, or `undefined`."""
    return _BeginsWith(ids.prefix(kind))


AssistantIdentifier = Annotated[Identifier, begins_with("asst")]
FileIdentifier = Annotated[Identifier, begins_with("file")]
VectorStoreIdentifier = Annotated[Identifier, begins_with("vs")]
PartIdentifier = Annotated[Identifier, begins_with("part")]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class CodeInterpreterTool(Body):
    """Python in a sandbox."""

    type: Literal["code_interpreter"]


class RankingOptions(Body):
    """How file_search ranks and cuts its results."""

    ranker: Literal["auto", "default_2024_08_21"] = "auto"
    score_threshold: Annotated[float, Field(ge=0, le=1)]


class FileSearchOptions(Body):
    """How many results file_search gives, and which."""

    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None
    ranking_options: RankingOptions | None = None


class FileSearchTool(Body):
    """Search in the vector stores of assistant and thread."""

    type: Literal["file_search"]
    file_search: FileSearchOptions | None = None


class RetrievalTool(Body):
    """v1's name of file_search. Newer clients can still be made to send it, so both dialects take it."""

    type: Literal["retrieval"]


class Function(Body):
    """A function that the client executes."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]+$", min_length=1, max_length=limits.FUNCTION_NAME)]
    description: str | None = None
    parameters: AnyObject | None = None
    strict: bool | None = None


class FunctionTool(Body):
    """A function, offered to the model."""

    type: Literal["function"]
    function: Function


Tool = Annotated[CodeInterpreterTool | FileSearchTool | RetrievalTool | FunctionTool, Field(discriminator="type")]


def names_apart(tools: list[Tool]) -> list[Tool]:
    """Our tools are offered to the model as functions of their names: none of the client's may bear the same."""
    ours = {"file_search" if tool.type == "retrieval" else tool.type for tool in tools} - {"function"}
    for tool in tools:
        if isinstance(tool, FunctionTool) and tool.function.name in ours:
            raise PydanticCustomError(
                "invalid_value",
                "a function can't be named '{name}' beside the tool of that name.",
                {"name": tool.function.name},
            )
    return tools


def stored_tools(tools: list[Tool]) -> list[dict[str, Any]]:
    """Tools as they are kept: v2's."""
    return [{"type": "file_search"} if isinstance(tool, RetrievalTool) else tool.plain() for tool in tools]


def shown_tools(tools: list[dict[str, Any]], dialect: Dialect) -> list[Any]:
    """Tools as that dialect names them."""
    if dialect == "v2":
        return tools
    return [{"type": "retrieval"} if tool["type"] == "file_search" else tool for tool in tools]


class CodeInterpreterResources(Body):
    """Files that code finds in its working directory."""

    file_ids: Annotated[list[FileIdentifier], Field(max_length=limits.TOOL_RESOURCE_FILES, fail_fast=True)] = Field(
        default_factory=list[str]
    )


_FEWEST_TOKENS, _MOST_TOKENS = limits.CHUNK_TOKENS


class StaticChunking(Body):
    """Sizes of chunks, in tokens."""

    max_chunk_size_tokens: Annotated[int, Field(ge=_FEWEST_TOKENS, le=_MOST_TOKENS)] = 800
    chunk_overlap_tokens: Annotated[int, Field(ge=0)] = 400

    @model_validator(mode="after")
    def _overlap_at_most_half(self) -> "StaticChunking":
        if self.chunk_overlap_tokens > self.max_chunk_size_tokens // 2:
            raise PydanticCustomError(
                "invalid_value", "'chunk_overlap_tokens' can't be more than half of 'max_chunk_size_tokens'."
            )
        return self


class AutoChunkingStrategy(Body):
    """Our own choice: 800 tokens, of which 400 are those of the chunk before."""

    type: Literal["auto"]


class StaticChunkingStrategy(Body):
    """The client's choice."""

    type: Literal["static"]
    static: StaticChunking


ChunkingStrategy = Annotated[AutoChunkingStrategy | StaticChunkingStrategy, Field(discriminator="type")]


class InlineVectorStore(Body):
    """A vector store that is made together with what uses it."""

    file_ids: Annotated[list[FileIdentifier], Field(max_length=limits.INLINE_STORE_FILES, fail_fast=True)] = Field(
        default_factory=list[str]
    )
    chunking_strategy: ChunkingStrategy | None = None
    metadata: Metadata | None = None


class FileSearchResources(Body):
    """A vector store to search in: one that there is, or one to be made."""

    vector_store_ids: Annotated[
        list[VectorStoreIdentifier], Field(max_length=limits.STORES_OF_A_TOOL, fail_fast=True)
    ] = Field(default_factory=list[str])
    vector_stores: Annotated[list[InlineVectorStore], Field(max_length=limits.STORES_OF_A_TOOL, fail_fast=True)] = (
        Field(default_factory=list[InlineVectorStore])
    )

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "FileSearchResources":
        if self.vector_store_ids and self.vector_stores:
            raise PydanticCustomError("invalid_value", "give either 'vector_store_ids' or 'vector_stores', not both.")
        return self


class ToolResources(Body):
    """What the tools work with."""

    code_interpreter: CodeInterpreterResources | None = None
    file_search: FileSearchResources | None = None

    def file_ids(self) -> list[str]:
        """Every file that is named here."""
        return self.code_interpreter.file_ids if self.code_interpreter else []

    def store_ids(self) -> list[str]:
        """Every vector store that is named here."""
        return self.file_search.vector_store_ids if self.file_search else []

    def stores_to_make(self) -> list[InlineVectorStore]:
        """Vector stores that are described here."""
        return self.file_search.vector_stores if self.file_search else []

    def refer_to(self, store_ids: list[str]) -> None:
        """Name vector stores that have been made where they were described."""
        self.file_search = FileSearchResources(vector_store_ids=store_ids)

    def plain(self) -> dict[str, Any]:
        """As it is kept: the stores' ids alone."""
        made = {"file_search": {"vector_stores"}}
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude=made)


class JsonSchema(Body):
    """The schema of an answer."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]+$", min_length=1, max_length=limits.SCHEMA_NAME)]
    description: str | None = None
    schema_: AnyObject | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextFormat(Body):
    """Plain text."""

    type: Literal["text"]


class JsonObjectFormat(Body):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(Body):
    """JSON that satisfies a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


def _shape(value: Any) -> str:
    """Which branch of "a word or an object" a value belongs to; anything that isn't a word is judged as an object."""
    return "word" if isinstance(value, str) else "object"


ResponseFormat = Annotated[
    Annotated[Literal["auto"], Tag("word")]
    | Annotated[
        Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")], Tag("object")
    ],
    Discriminator(_shape),
]


class FunctionName(Body):
    """The function that has to be called."""

    name: str


class FunctionChoice(Body):
    """Call this function."""

    type: Literal["function"]
    function: FunctionName


class ToolTypeChoice(Body):
    """Use this tool."""

    type: Literal["code_interpreter", "file_search"]


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("word")]
    | Annotated[Annotated[FunctionChoice | ToolTypeChoice, Field(discriminator="type")], Tag("object")],
    Discriminator(_shape),
]


def stored_format(value: Any) -> Any:
    """A response format as it is kept: an object or `auto`; None where nothing was said."""
    return value.plain() if isinstance(value, Body) else value


def refuse_v1_fields(body: Body, dialect: Dialect, *names: str) -> None:
    """Fields that only v1 knows are as unknown to v2 as any other. Raises InvalidRequest."""
    for name in names:
        if dialect == "v2" and name in body.model_fields_set:
            raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
