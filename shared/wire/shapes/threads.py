"""Threads and messages."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from shared.wire.shapes.tools import Resources
from shared.wire.shapes.usage import UsageFacts


class ThreadFacts(TypedDict):
    """What else is known of a thread: in a list, and of one by itself."""

    last_activity_at: NotRequired[int]
    usage: NotRequired[UsageFacts]


class ThreadObject(TypedDict):
    """A thread; lists of threads, which are ours, add `assistantd`, and so does who asks for it."""

    id: str
    object: Literal["thread"]
    created_at: int
    metadata: dict[str, str]
    tool_resources: Resources
    assistantd: NotRequired[ThreadFacts]


class CitedFile(TypedDict):
    """The file that a citation is of."""

    file_id: str
    quote: NotRequired[str]  # v1


class CitedPlace(TypedDict):
    """What a citation relies on."""

    page: int | None
    chunk_id: str
    quote: str


class FileCitation(TypedDict):
    """A mark in a text that stands for what a search found."""

    type: Literal["file_citation"]
    text: str
    file_citation: CitedFile
    start_index: int
    end_index: int
    assistantd: NotRequired[CitedPlace]


class MadeFile(TypedDict):
    """A file that code made."""

    file_id: str


class FilePath(TypedDict):
    """A link in a text that stands for a file which code made."""

    type: Literal["file_path"]
    text: str
    file_path: MadeFile
    start_index: int
    end_index: int


class Text(TypedDict):
    """Words, and what is said about places in them."""

    value: str
    annotations: list[FileCitation | FilePath]


class TextContent(TypedDict):
    """Words."""

    type: Literal["text"]
    text: Text


class ShownImageFile(TypedDict):
    """An uploaded image."""

    file_id: str
    detail: Literal["auto", "low", "high"]


class ImageFileContent(TypedDict):
    """An image by file id."""

    type: Literal["image_file"]
    image_file: ShownImageFile


class ShownImageUrl(TypedDict):
    """An image on the web."""

    url: str
    detail: Literal["auto", "low", "high"]


class ImageUrlContent(TypedDict):
    """An image by address."""

    type: Literal["image_url"]
    image_url: ShownImageUrl


class ToolOfAttachment(TypedDict):
    """A tool that gets to see an attachment."""

    type: Literal["code_interpreter", "file_search"]


class ShownAttachment(TypedDict):
    """A file that came with a message."""

    file_id: str
    tools: NotRequired[list[ToolOfAttachment]]


ShownPart = TextContent | ImageFileContent | ImageUrlContent


class Incompleteness(TypedDict):
    """Why a message is not whole."""

    reason: Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]


class MessageObject(TypedDict):
    """A message."""

    id: str
    object: Literal["thread.message"]
    created_at: int
    thread_id: str
    status: Literal["in_progress", "incomplete", "completed"]
    incomplete_details: Incompleteness | None
    completed_at: int | None
    incomplete_at: int | None
    role: Literal["user", "assistant"]
    content: list[ShownPart]
    assistant_id: str | None
    run_id: str | None
    attachments: list[ShownAttachment]
    metadata: dict[str, str]
    file_ids: NotRequired[list[str]]  # v1


class MessageFileObject(TypedDict):
    """A file that came with a message; v1."""

    id: str
    object: Literal["thread.message.file"]
    created_at: int
    message_id: str
