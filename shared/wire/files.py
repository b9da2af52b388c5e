"""Files on the wire."""

from typing import Annotated, Literal

from pydantic import Field

from shared.database import Row
from shared.wire import limits
from shared.wire.fields import Body
from shared.wire.objects import seconds
from shared.wire.shapes.assistants import AssistantFileObject
from shared.wire.shapes.files import FileObject
from shared.wire.shapes.threads import MessageFileObject

Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
_SHORTEST, _LONGEST = limits.FILE_EXPIRY_SECONDS


class ExpiresAfter(Body):
    """When a file is to be forgotten."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=_SHORTEST, le=_LONGEST)]


def assistant_file_object(row: Row, assistant_id: str) -> AssistantFileObject:
    """A row of `files` as v1 shows a file of an assistant; when it was attached is not kept, when it was made is."""
    return {
        "id": row["id"],
        "object": "assistant.file",
        "created_at": seconds(row["created_at"]),
        "assistant_id": assistant_id,
    }


def message_file_object(row: Row, message_id: str) -> MessageFileObject:
    """A row of `files` as v1 shows a file that came with a message."""
    return {
        "id": row["id"],
        "object": "thread.message.file",
        "created_at": seconds(row["created_at"]),
        "message_id": message_id,
    }


def file_object(row: Row) -> FileObject:
    """A row of `files` as an OpenAI object."""
    return {
        "id": row["id"],
        "object": "file",
        "bytes": row["bytes"],
        "created_at": seconds(row["created_at"]),
        "expires_at": seconds(row["expires_at"]),
        "filename": row["filename"],
        "purpose": row["purpose"],
        "status": "processed",
        "status_details": None,
    }
