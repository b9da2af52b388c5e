"""The kinds of objects that travel, in an order in which none comes before what it refers to."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlmodel import SQLModel

from shared.assistants.rows import Assistant
from shared.files.rows import File
from shared.runs.rows import Run, RunStep
from shared.threads.rows import Message, Thread
from shared.vector_stores.rows import StoreFile, VectorStore
from shared.wire.shapes.assistants import AssistantObject
from shared.wire.shapes.files import FileObject
from shared.wire.shapes.runs import RunObject
from shared.wire.shapes.steps import RunStepObject
from shared.wire.shapes.threads import MessageObject, ThreadObject
from shared.wire.shapes.vector_stores import VectorStoreFileObject, VectorStoreObject

EXTENSION = "assistantd"


@dataclass(frozen=True, slots=True)
class Kind:
    """Objects of one kind: the name of their file, OpenAI's word for them, their table, the shape in which they are
    shown, with its fields and those that are always there, the columns that are told beside it, and the ids by which
    they belong to others: column and table.
    """

    name: str
    object: str
    model: type[SQLModel]
    shape: TypeAdapter[Any]
    fields: frozenset[str]
    needed: frozenset[str]
    beside: tuple[str, ...]
    parents: tuple[tuple[str, str], ...] = ()

    @property
    def table(self) -> str:
        """Its name in the database."""
        return str(self.model.__tablename__)


def _kind(
    name: str, word: str, model: type[SQLModel], shape: Any, beside: str, *parents: tuple[str, str]
) -> tuple[str, Kind]:
    fields = frozenset(shape.__annotations__)
    needed = frozenset(shape.__required_keys__)
    return name, Kind(name, word, model, TypeAdapter(shape), fields, needed, tuple(beside.split()), parents)


_OF_THREAD = ("thread_id", "threads")

KINDS: dict[str, Kind] = dict(
    [
        _kind("files", "file", File, FileObject, "created_at expires_at sha256"),
        _kind(
            "vector_stores",
            "vector_store",
            VectorStore,
            VectorStoreObject,
            "created_at last_active_at expires_at expired_at language",
        ),
        _kind(
            "vector_store_files",
            "vector_store.file",
            StoreFile,
            VectorStoreFileObject,
            "created_at",
            ("vector_store_id", "vector_stores"),
            ("id", "files"),
        ),
        _kind(
            "assistants",
            "assistant",
            Assistant,
            AssistantObject,
            "created_at temperature top_p response_format file_ids",
        ),
        _kind("threads", "thread", Thread, ThreadObject, "created_at active_at"),
        _kind("messages", "thread.message", Message, MessageObject, "created_at ended_at file_ids", _OF_THREAD),
        _kind(
            "runs",
            "thread.run",
            Run,
            RunObject,
            "created_at started_at finished_at expires_at dialect reason term attempts max_attempts model_retry"
            " temperature top_p response_format file_ids include_contents messages_to_come history usage used",
            _OF_THREAD,
        ),
        _kind(
            "run_steps",
            "thread.run.step",
            RunStep,
            RunStepObject,
            "created_at expires_at ended_at position term details usage",
            _OF_THREAD,
            ("run_id", "runs"),
        ),
    ]
)

BY_OBJECT = {kind.object: kind for kind in KINDS.values()}
