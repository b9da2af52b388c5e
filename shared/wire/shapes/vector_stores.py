"""Vector stores, what is in them, and what is found there."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from shared.vector_stores.status import FileStatus, Stage


class FileCounts(TypedDict):
    """How many files are in which state."""

    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class StoreExpiry(TypedDict):
    """After how many days without use a store is forgotten."""

    anchor: Literal["last_active_at"]
    days: int


class VectorStoreObject(TypedDict):
    """A vector store; `description` is ours."""

    id: str
    object: Literal["vector_store"]
    created_at: int
    name: str
    description: str | None
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["expired", "in_progress", "completed"]
    expires_after: NotRequired[StoreExpiry]
    expires_at: int | None
    last_active_at: int | None
    metadata: dict[str, str]


class ReadingError(TypedDict):
    """Why a file could not be read."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class ChunkSizes(TypedDict):
    """Sizes of chunks, in tokens."""

    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class ShownChunking(TypedDict):
    """How a file was cut."""

    type: Literal["static"]
    static: ChunkSizes


class IngestionFacts(TypedDict):
    """How far the reading of a file is; `pages` is null where there are none."""

    stage: Stage
    format: str | None
    pages: int | None
    pages_read: int
    pages_unread: int
    chunks: int
    chunks_embedded: int


class VectorStoreFileObject(TypedDict):
    """A file in a vector store; `assistantd` where it is asked for."""

    id: str
    object: Literal["vector_store.file"]
    usage_bytes: int
    created_at: int
    vector_store_id: str
    status: FileStatus
    last_error: ReadingError | None
    chunking_strategy: ShownChunking
    attributes: dict[str, str | float | bool]
    assistantd: NotRequired[IngestionFacts]


class FileBatchObject(TypedDict):
    """Files that were put into a vector store together."""

    id: str
    object: Literal["vector_store.files_batch"]
    created_at: int
    vector_store_id: str
    status: FileStatus
    file_counts: FileCounts


class Chunk(TypedDict):
    """A piece of a file's text."""

    type: Literal["text"]
    text: str


class ContentPage(TypedDict):
    """The chunks of a file, in one page."""

    object: Literal["vector_store.file_content.page"]
    data: list[Chunk]
    has_more: bool
    next_page: str | None


class SearchResult(TypedDict):
    """A chunk that was found."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, str | float | bool]
    content: list[Chunk]


class ResultsPage(TypedDict):
    """What a search found, in one page."""

    object: Literal["vector_store.search_results.page"]
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool
    next_page: str | None
