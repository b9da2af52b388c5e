"""Vector stores, their files and searches in them, on the wire."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from shared.database import Row
from shared.vector_stores.files import new_file
from shared.vector_stores.status import FileStatus
from shared.wire import limits
from shared.wire.fields import (
    Body,
    ChunkingStrategy,
    FileIdentifier,
    InlineVectorStore,
    Metadata,
    MetadataKey,
    StaticChunking,
    StaticChunkingStrategy,
    bounded_pairs,
)
from shared.wire.objects import seconds
from shared.wire.shapes.vector_stores import (
    ContentPage,
    FileBatchObject,
    FileCounts,
    IngestionFacts,
    VectorStoreFileObject,
    VectorStoreObject,
)

_FEWEST_DAYS, _MOST_DAYS = limits.VECTOR_STORE_EXPIRY_DAYS

Name = Annotated[str, StringConstraints(max_length=limits.VECTOR_STORE_NAME)]
Description = Annotated[str, StringConstraints(max_length=limits.VECTOR_STORE_DESCRIPTION)]


def _attribute(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise PydanticCustomError("invalid_type", "expected a string, a number or a boolean.")
    if isinstance(value, str) and len(value) > limits.METADATA_VALUE:
        raise PydanticCustomError(
            "string_above_max_length",
            "string too long. Expected a string with maximum length {limit}, but got a string with length {length} "
            "instead.",
            {"limit": limits.METADATA_VALUE, "length": len(value)},
        )
    return value


_ATTRIBUTE = {
    "anyOf": [{"type": "string", "maxLength": limits.METADATA_VALUE}, {"type": "number"}, {"type": "boolean"}]
}
Attribute = Annotated[Any, AfterValidator(_attribute), WithJsonSchema(_ATTRIBUTE)]
Attributes = Annotated[dict[MetadataKey, Attribute], BeforeValidator(bounded_pairs)]


class ExpiresAfter(Body):
    """When a store is forgotten that nobody uses."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Field(ge=_FEWEST_DAYS, le=_MOST_DAYS)]


class CreateVectorStore(Body):
    """POST /vector_stores."""

    name: Name | None = None
    description: Description | None = None
    file_ids: (
        Annotated[list[FileIdentifier], Field(max_length=limits.VECTOR_STORE_FILES_AT_CREATION, fail_fast=True)] | None
    ) = None
    chunking_strategy: ChunkingStrategy | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None

    def columns(self) -> dict[str, Any]:
        """The columns of the new row."""
        days = self.expires_after.days if self.expires_after else None
        return {"name": self.name, "description": self.description, "days": days, "metadata": self.metadata or {}}

    def new_files(self) -> list[Row]:
        """Its first files."""
        return _new_files(self.file_ids or [], None, self.chunking_strategy)


class ModifyVectorStore(Body):
    """POST /vector_stores/{vector_store_id}: what is absent stays as it is."""

    name: Name | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None

    def columns(self) -> dict[str, Any]:
        """The columns to change."""
        values = {
            "name": self.name or "",
            "expires_after": self.expires_after.days if self.expires_after else None,
            "metadata": self.metadata or {},
        }
        spelt = {"expires_after": "days"}
        return {spelt.get(name, name): value for name, value in values.items() if name in self.model_fields_set}


class AddFile(Body):
    """POST /vector_stores/{vector_store_id}/files, and one of the `files` of a batch."""

    file_id: FileIdentifier
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None

    def new_file(self) -> Row:
        """The file as it is to be in the store."""
        return _new_files([self.file_id], self.attributes, self.chunking_strategy)[0]


class AddFileBatch(Body):
    """POST /vector_stores/{vector_store_id}/file_batches: ids that share everything else, or files one by one."""

    file_ids: (
        Annotated[list[FileIdentifier], Field(min_length=1, max_length=limits.VECTOR_STORE_BATCH, fail_fast=True)]
        | None
    ) = None
    files: (
        Annotated[list[AddFile], Field(min_length=1, max_length=limits.VECTOR_STORE_BATCH, fail_fast=True)] | None
    ) = None
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "AddFileBatch":
        if (self.file_ids is None) == (self.files is None):
            raise PydanticCustomError("invalid_value", "Give either 'file_ids' or 'files'.")
        if self.files is not None and (self.attributes is not None or self.chunking_strategy is not None):
            raise PydanticCustomError(
                "invalid_value", "With 'files', 'attributes' and 'chunking_strategy' are given in each of them."
            )
        repeated = [file_id for file_id, times in Counter(f.file_id for f in self.files or []).items() if times > 1]
        if repeated:
            raise PydanticCustomError(
                "invalid_value", "'files' has '{file_id}' more than once.", {"file_id": repeated[0]}
            )
        return self

    def new_files(self) -> list[Row]:
        """The files as they are to be in the store."""
        if self.files is not None:
            return [file.new_file() for file in self.files]
        return _new_files(self.file_ids or [], self.attributes, self.chunking_strategy)


class ModifyAttributes(Body):
    """POST /vector_stores/{vector_store_id}/files/{file_id}."""

    attributes: Attributes | None


def files_of_inline(store: InlineVectorStore) -> list[Row]:
    """The files of a store that is described in `tool_resources`."""
    return _new_files(store.file_ids, None, store.chunking_strategy)


def _new_files(
    file_ids: list[str], attributes: Mapping[str, Any] | None, strategy: ChunkingStrategy | None
) -> list[Row]:
    """A file that is named twice is in the store once."""
    chosen = strategy.static if isinstance(strategy, StaticChunkingStrategy) else StaticChunking()
    sizes = chosen.max_chunk_size_tokens, chosen.chunk_overlap_tokens
    return [new_file(file_id, attributes, *sizes) for file_id in dict.fromkeys(file_ids)]


def store_object(row: Row) -> VectorStoreObject:
    """A row of `vector_stores`, counted, as an OpenAI object. `description` is ours: the original took it and never
    showed it. What never expires has no `expires_after`.
    """
    days, expired = row["expires_after_days"], row["expired_at"] is not None
    busy = row["counts"][FileStatus.IN_PROGRESS] > 0
    shown: VectorStoreObject = {
        "id": row["id"],
        "object": "vector_store",
        "created_at": seconds(row["created_at"]),
        "name": row["name"],
        "description": row["description"],
        "usage_bytes": row["usage_bytes"],
        "file_counts": _counts(row),
        "status": "expired" if expired else "in_progress" if busy else "completed",
        "expires_at": seconds(row["expires_at"]),
        "last_active_at": seconds(row["last_active_at"]),
        "metadata": row["metadata"],
    }
    if days is not None:
        shown["expires_after"] = {"anchor": "last_active_at", "days": days}
    return shown


def store_file_object(row: Row) -> VectorStoreFileObject:
    """A row of `vector_store_files` as an OpenAI object: its id is the file's."""
    return {
        "id": row["id"],
        "object": "vector_store.file",
        "usage_bytes": row["usage_bytes"],
        "created_at": seconds(row["created_at"]),
        "vector_store_id": row["vector_store_id"],
        "status": row["status"],
        "last_error": row["last_error"],
        "chunking_strategy": {
            "type": "static",
            "static": {
                "max_chunk_size_tokens": row["max_chunk_size_tokens"],
                "chunk_overlap_tokens": row["chunk_overlap_tokens"],
            },
        },
        "attributes": row["attributes"],
    }


def ingestion_facts(row: Row) -> IngestionFacts:
    """What else is known of a file in a store: our extension. `pages` is null where there are none."""
    return {
        "stage": row["stage"],
        "format": row["format"],
        "pages": row["pages"],
        "pages_read": row["pages_read"],
        "pages_unread": row["pages_unread"],
        "chunks": row["chunks"],
        "chunks_embedded": row["chunks_embedded"],
    }


def batch_object(row: Row) -> FileBatchObject:
    """A row of `vector_store_batches`, counted, as an OpenAI object. It has failed where all of its files have."""
    counts = row["counts"]
    total = sum(counts.values())
    if counts[FileStatus.IN_PROGRESS]:
        status = FileStatus.IN_PROGRESS
    elif row["cancelled_at"] is not None:
        status = FileStatus.CANCELLED
    else:
        status = FileStatus.FAILED if total and counts[FileStatus.FAILED] == total else FileStatus.COMPLETED
    return {
        "id": row["id"],
        "object": "vector_store.files_batch",
        "created_at": seconds(row["created_at"]),
        "vector_store_id": row["vector_store_id"],
        "status": status,
        "file_counts": _counts(row),
    }


def _counts(row: Row) -> FileCounts:
    counts = row["counts"]
    return {
        "in_progress": counts[FileStatus.IN_PROGRESS],
        "completed": counts[FileStatus.COMPLETED],
        "failed": counts[FileStatus.FAILED],
        "cancelled": counts[FileStatus.CANCELLED],
        "total": sum(counts.values()),
    }


def content_page(texts: list[str]) -> ContentPage:
    """The chunks of a file, in one page: neighbours share the tokens of their overlap."""
    return {
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": text} for text in texts],
        "has_more": False,
        "next_page": None,
    }
