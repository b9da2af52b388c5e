"""Vector stores, the files in them, and what these consist of."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import HalfVector, Instant, Json, JsonList
from shared.vector_stores.status import HELD, LEFT_OVER, WAITS_FOR_WORKER, FileStatus, Stage

STATUSES = ", ".join(f"'{status}'" for status in FileStatus)
STAGES = ", ".join(f"'{stage}'" for stage in Stage)


def _counter() -> Any:
    return Field(sa_column=Column(Integer, nullable=False, server_default=text("0")))


def _number() -> Any:
    return Field(sa_column=Column(Integer, nullable=False))


def _optional_number() -> Any:
    return Field(default=None, sa_column=Column(Integer))


def _texts() -> Any:
    return Field(sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")))


def _bytes() -> Any:
    return Field(sa_column=Column(BigInteger, nullable=False, server_default=text("0")))


class VectorStore(SQLModel, table=True):
    """A collection of files to search in. `expires_at` follows from `last_active_at` and `expires_after_days`; an
    expired store (`expired_at`) has lost its chunks, keeps the names of its files, and never comes back. `language` is
    the text search configuration by which words of its files and of questions are compared.
    """

    __tablename__ = "vector_stores"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.reference("projects.id")
    created_at: Instant = columns.created_at()
    name: str = columns.required_text("")
    description: str | None = columns.optional_text()
    expires_after_days: int | None = _optional_number()
    last_active_at: Instant = columns.created_at()
    expires_at: Instant | None = columns.instant()
    expired_at: Instant | None = columns.instant()
    meta: Json = columns.metadata()
    language: str = columns.required_text("english")
    deleted_at: Instant | None = columns.instant()

    __table_args__ = (
        Index("vector_stores_deleted", "deleted_at", "id", postgresql_where=text("deleted_at IS NOT NULL")),
        Index("vector_stores_listed", "project_id", "created_at", "id"),
        Index("vector_stores_expiring", "expires_at", postgresql_where=text("expired_at IS NULL")),
        CheckConstraint("(expires_at IS NULL) = (expires_after_days IS NULL)", name="vector_stores_expiry"),
    )


class FileBatch(SQLModel, table=True):
    """Files that were put into a store together. Its status and counts are those of its files that are in the store;
    one that is put in again leaves it.
    """

    __tablename__ = "vector_store_batches"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.project()
    vector_store_id: str = columns.reference("vector_stores.id")
    created_at: Instant = columns.created_at()
    cancelled_at: Instant | None = columns.instant()

    __table_args__ = (Index("vector_store_batches_of_store", "vector_store_id"),)


class StoreFile(SQLModel, table=True):
    """A file in a store, under the file's own id: it goes when the file goes.

    `ingestion` names the work of reading it, and is another one each time that the file is put into the store. `term`
    counts the hands that this work has passed through, `attempts` the workers that died over it. `chunks` and what
    follows it tell how much there is already; `format` is what the file was read as, `reader` the version of the code
    that read it, `space` the one that its vectors are in, `passages` how many there are once all are. While another
    worker makes them anew in another space it has the file until `embedding_until`.
    """

    __tablename__ = "vector_store_files"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    vector_store_id: str = Field(
        sa_column=Column(Text, ForeignKey("vector_stores.id", ondelete="CASCADE"), primary_key=True)
    )
    id: str = Field(sa_column=Column(Text(collation="C"), ForeignKey("files.id", ondelete="CASCADE"), primary_key=True))
    project_id: str = columns.project()
    ingestion: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    batch_id: str | None = Field(
        default=None, sa_column=Column(Text, ForeignKey("vector_store_batches.id", ondelete="CASCADE"))
    )
    created_at: Instant = columns.created_at()
    attributes: Json = columns.json(default="{}")
    max_chunk_size_tokens: int = _number()
    chunk_overlap_tokens: int = _number()

    status: str = columns.required_text(FileStatus.IN_PROGRESS)
    reason: str = columns.required_text("added")
    term: int = _counter()
    attempts: int = _counter()
    lease_owner: str | None = columns.optional_text()
    lease_expires_at: Instant | None = columns.instant()
    finished_at: Instant | None = columns.instant()
    last_error: Json | None = columns.optional_json()
    usage_bytes: int = _bytes()

    stage: str = columns.required_text(Stage.WAITING)
    format: str | None = columns.optional_text()
    reader: int | None = _optional_number()
    pages: int | None = _optional_number()
    pages_read: int = _counter()
    pages_unread: int = _counter()
    chunks: int = _counter()
    chunks_embedded: int = _counter()
    passages: int = _counter()
    space: int | None = Field(default=None, sa_column=Column(Integer, ForeignKey("embedding_spaces.id")))
    embedding_until: Instant | None = columns.instant()

    __table_args__ = (
        Index("vector_store_files_listed", "vector_store_id", "created_at", "id"),
        Index("vector_store_files_counted", "vector_store_id", "status", "usage_bytes"),
        Index("vector_store_files_of_batch", "batch_id", "status", "usage_bytes"),
        Index("vector_store_files_of_file", "id"),
        Index("vector_store_files_waiting", "project_id", "created_at", "id", postgresql_where=text(WAITS_FOR_WORKER)),
        Index("vector_store_files_held", "project_id", postgresql_where=text(HELD)),
        Index("vector_store_files_leased", "lease_expires_at", postgresql_where=text(HELD)),
        Index("vector_store_files_left_over", "ingestion", postgresql_where=text(LEFT_OVER)),
        Index("vector_store_files_by_space", "space", "ingestion", postgresql_where=text("status = 'completed'")),
        CheckConstraint(f"stage IN ({STAGES})", name="vector_store_files_stage"),
        CheckConstraint(f"status IN ({STATUSES})", name="vector_store_files_status"),
        CheckConstraint("(finished_at IS NULL) = (status = 'in_progress')", name="vector_store_files_finished"),
        CheckConstraint(
            "(lease_owner IS NULL) = (lease_expires_at IS NULL) AND (lease_owner IS NULL OR status = 'in_progress')",
            name="vector_store_files_lease",
        ),
        CheckConstraint("(last_error IS NOT NULL) = (status = 'failed')", name="vector_store_files_error"),
    )


class RemovedFile(SQLModel, table=True):
    """Where a file stood in its store's list before it was taken out: clients page on from a file that they have just
    removed, and its id says when it was uploaded, not when it was put in. Written by a trigger, because a file also
    goes with its upload; kept for a day.
    """

    __tablename__ = "vector_store_files_removed"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    vector_store_id: str = Field(sa_column=Column(Text, primary_key=True))
    id: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    project_id: str = columns.project()
    created_at: Instant = columns.required_instant()
    removed_at: Instant = columns.created_at()

    __table_args__ = (Index("vector_store_files_removed_by_age", "removed_at"),)


class Chunk(SQLModel, table=True):
    """A piece of a file's text, from the character at `begins` up to the one at `ends`; pieces overlap. `page` is the
    one on which it begins, from 1, in files that have pages; `pages` are those that begin within it: at which of its
    characters, and which number. `headings` are those above its beginning, outermost first. `search` is what full-text
    search looks at: the text's words, and the store's id among them (`ranking.INDEXED_STORE`), so that the index tells
    stores apart. Chunks go after their file, in the background (`shared/removals`): whose ingestion no file has is of
    no matter to anybody.
    """

    __tablename__ = "chunks"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    ingestion: str = Field(sa_column=Column(Text, primary_key=True))
    position: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    project_id: str = columns.project()
    vector_store_id: str = columns.required_text()
    text: str = columns.required_text()
    tokens: int = _number()
    begins: int = _number()
    ends: int = _number()
    page: int | None = _optional_number()
    headings: list[str] = _texts()
    pages: JsonList = columns.json(default="[]")
    search: Any = Field(sa_column=Column(TSVECTOR, nullable=False))

    __table_args__ = (
        Index("chunks_of_store", "vector_store_id"),
        Index("chunks_search", "search", postgresql_using="gin"),
    )


class Passage(SQLModel, table=True):
    """A vector, and the piece of a chunk that it stands for: as much text as the model is told at a time. `number`
    counts those of a chunk. Where the next chunks begin with the same text they have it in common, up to `last_chunk`.
    `embedding` is the model's vector, of length 1. Large stores have an index of theirs each (`indexes.py`).
    """

    __tablename__ = "passages"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    ingestion: str = Field(sa_column=Column(Text, primary_key=True))
    chunk: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    space: int = Field(sa_column=Column(Integer, ForeignKey("embedding_spaces.id"), primary_key=True))
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    last_chunk: int = _number()
    project_id: str = columns.project()
    vector_store_id: str = columns.required_text()
    embedding: Any = Field(sa_column=Column(HalfVector(), nullable=False))

    __table_args__ = (
        ForeignKeyConstraint(["ingestion", "chunk"], ["chunks.ingestion", "chunks.position"], ondelete="CASCADE"),
    )
