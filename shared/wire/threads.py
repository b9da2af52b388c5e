"""Threads and messages on the wire."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag
from pydantic_core import PydanticCustomError

from shared import ids
from shared.wire import limits
from shared.wire.fields import Body, Dialect, FileIdentifier, Metadata, ToolResources
from shared.wire.objects import seconds
from shared.wire.shapes.threads import FileCitation, FilePath, MessageObject, ShownPart, ThreadObject


class TextPart(Body):
    """Words."""

    type: Literal["text"]
    text: Annotated[str, StringConstraints(min_length=1, max_length=limits.MESSAGE_TEXT)]


class ImageUrl(Body):
    """An image on the web, or a data: URL."""

    url: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/]|data:image/)")]
    detail: Literal["auto", "low", "high"] = "auto"


class ImageUrlPart(Body):
    """An image by address."""

    type: Literal["image_url"]
    image_url: ImageUrl


class ImageFile(Body):
    """An uploaded image."""

    file_id: FileIdentifier
    detail: Literal["auto", "low", "high"] = "auto"


class ImageFilePart(Body):
    """An image by file id."""

    type: Literal["image_file"]
    image_file: ImageFile


def _bounded(parts: "list[Part]") -> "list[Part]":
    """The limit is that of the whole message, in however many parts it comes."""
    length = sum(len(part.text) for part in parts if isinstance(part, TextPart))
    length += sum(len(part.image_url.url) for part in parts if isinstance(part, ImageUrlPart))
    if length > limits.MESSAGE_TEXT:
        raise PydanticCustomError(
            "string_above_max_length",
            "too long. Expected parts with at most {limit} characters together, but got {length} instead.",
            {"limit": limits.MESSAGE_TEXT, "length": length},
        )
    return parts


Part = Annotated[TextPart | ImageUrlPart | ImageFilePart, Field(discriminator="type")]
Content = Annotated[
    Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=limits.MESSAGE_TEXT)],
        Tag("word"),
    ]
    | Annotated[
        Annotated[
            list[Part], Field(min_length=1, max_length=limits.MESSAGE_PARTS, fail_fast=True), AfterValidator(_bounded)
        ],
        Tag("list"),
    ],
    Discriminator(lambda value: "list" if isinstance(value, list) else "word"),
]


class AttachmentTool(Body):
    """A tool that gets to see an attachment."""

    type: Literal["code_interpreter", "file_search"]


class Attachment(Body):
    """A file that comes with a message."""

    file_id: FileIdentifier
    tools: list[AttachmentTool] = Field(default_factory=list["AttachmentTool"])


class CreateMessage(Body):
    """POST /threads/{thread_id}/messages, and the messages that come with a thread or a run."""

    role: Literal["user", "assistant"]
    content: Content
    attachments: Annotated[list[Attachment], Field(max_length=limits.MESSAGE_ATTACHMENTS, fail_fast=True)] | None = None
    metadata: Metadata | None = None
    file_ids: Annotated[list[FileIdentifier], Field(max_length=limits.V1_MESSAGE_FILES, fail_fast=True)] | None = (
        None  # v1 alone
    )

    def record(self) -> dict[str, Any]:
        """The new row, as the statements take it in JSON."""
        return {
            "id": ids.new("msg"),
            "role": self.role,
            "content": stored_content(self.content),
            "attachments": [attachment.plain() for attachment in self.attachments or []],
            "file_ids": self.file_ids or [],
            "metadata": self.metadata or {},
        }

    def referred_files(self) -> list[str]:
        """Files that have to exist."""
        images = [part.image_file.file_id for part in self.content if isinstance(part, ImageFilePart)]
        return [*images, *(a.file_id for a in self.attachments or []), *(self.file_ids or [])]

    def searched_files(self) -> list[str]:
        """Files that file_search is to find: those attached for it, and v1's, which are for every tool."""
        attached = [a.file_id for a in self.attachments or [] if any(t.type == "file_search" for t in a.tools)]
        return [*attached, *(self.file_ids or [])]


class CreateThread(Body):
    """POST /threads; the body may be absent."""

    messages: Annotated[list[CreateMessage], Field(max_length=limits.MESSAGES_AT_ONCE, fail_fast=True)] | None = None
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None

    def params(self) -> dict[str, Any]:
        """Parameters of the statements that insert a thread."""
        return {
            "thread_id": ids.new("thread"),
            "tool_resources": self.tool_resources.plain() if self.tool_resources else {},
            "thread_metadata": self.metadata or {},
            "messages": [message.record() for message in self.messages or []],
        }

    def referred_files(self) -> list[str]:
        """Files that have to exist."""
        resources = self.tool_resources.file_ids() if self.tool_resources else []
        return [*resources, *(f for message in self.messages or [] for f in message.referred_files())]

    def searched_files(self) -> list[str]:
        """Files that come with messages and that file_search is to find."""
        return [f for message in self.messages or [] for f in message.searched_files()]


class ModifyThread(Body):
    """POST /threads/{thread_id}."""

    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None

    def columns(self) -> dict[str, Any]:
        """The columns to change."""
        columns: dict[str, Any] = {}
        if "tool_resources" in self.model_fields_set:
            columns["tool_resources"] = self.tool_resources.plain() if self.tool_resources else {}
        if "metadata" in self.model_fields_set:
            columns["metadata"] = self.metadata or {}
        return columns

    def referred_files(self) -> list[str]:
        """Files that have to exist."""
        return self.tool_resources.file_ids() if self.tool_resources else []


class ModifyMetadata(Body):
    """POST to a message or a run: nothing but metadata can change."""

    metadata: Metadata | None = None

    def columns(self) -> dict[str, Any]:
        """The columns to change."""
        return {"metadata": self.metadata or {}} if "metadata" in self.model_fields_set else {}


def stored_content(content: str | list[Part]) -> list[dict[str, Any]]:
    """Message content as it is kept and shown: always parts."""
    if isinstance(content, str):
        return [text_part(content)]
    return [text_part(part.text) if isinstance(part, TextPart) else part.model_dump(mode="json") for part in content]


def image_part(file_id: str) -> dict[str, Any]:
    """An image by file id."""
    return {"type": "image_file", "image_file": {"file_id": file_id, "detail": "auto"}}


def text_part(value: str, annotations: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """A text part, annotated or not."""
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def thread_object(row: Mapping[str, Any]) -> ThreadObject:
    """A row of `threads` as an OpenAI object."""
    return {
        "id": row["id"],
        "object": "thread",
        "created_at": seconds(row["created_at"]),
        "metadata": row["metadata"],
        "tool_resources": row["tool_resources"],
    }


def listed_thread_object(row: Mapping[str, Any]) -> ThreadObject:
    """The same in a list, with when something last happened on it: ours, like the list."""
    return {**thread_object(row), "assistantd": {"last_activity_at": seconds(row["active_at"])}}


def message_object(row: Mapping[str, Any], dialect: Dialect) -> MessageObject:
    """A row of `messages` as an OpenAI object; `status` is `in_progress` only in events."""
    ended_at = seconds(row["ended_at"])
    shown: MessageObject = {
        "id": row["id"],
        "object": "thread.message",
        "created_at": seconds(row["created_at"]),
        "thread_id": row["thread_id"],
        "status": row["status"],
        "incomplete_details": {"reason": row["incomplete_reason"]} if row["incomplete_reason"] else None,
        "completed_at": ended_at if row["status"] == "completed" else None,
        "incomplete_at": ended_at if row["status"] == "incomplete" else None,
        "role": row["role"],
        "content": [_shown_part(part, dialect) for part in row["content"]],
        "assistant_id": row["assistant_id"],
        "run_id": row["run_id"],
        "attachments": row["attachments"],
        "metadata": row["metadata"],
    }
    if dialect == "v1":
        shown["file_ids"] = row["file_ids"]
    return shown


def _shown_part(part: Any, dialect: Dialect) -> ShownPart:
    """Content is kept as v2 shows it."""
    if dialect == "v2" or part["type"] != "text" or not part["text"]["annotations"]:
        return part
    annotations = [annotation_object(annotation, dialect) for annotation in part["text"]["annotations"]]
    return {"type": "text", "text": {"value": part["text"]["value"], "annotations": annotations}}


def annotation_object(annotation: Any, dialect: Dialect) -> FileCitation | FilePath:
    """A citation as it is kept, in that dialect's shape: v1 has the quote where the original had it, v2 with what else
    is ours: `page` (null where the file has none) and `chunk_id`.
    """
    if dialect == "v2" or annotation["type"] != "file_citation":
        return annotation
    cited = annotation["file_citation"]["file_id"]
    quote = annotation.get("assistantd", annotation["file_citation"]).get("quote", "")  # an imported one may have none
    return {
        "type": "file_citation",
        "text": annotation["text"],
        "file_citation": {"file_id": cited, "quote": quote},
        "start_index": annotation["start_index"],
        "end_index": annotation["end_index"],
    }
