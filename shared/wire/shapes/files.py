"""Files, uploads and models."""

from typing import Literal

from typing_extensions import TypedDict


class FileObject(TypedDict):
    """A file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: Literal["assistants", "assistants_output", "batch", "fine-tune", "vision", "user_data", "evals"]
    status: Literal["processed"]
    status_details: None


class UploadObject(TypedDict):
    """A file that comes in parts; `file` once it is complete."""

    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileObject | None


class UploadPartObject(TypedDict):
    """A part."""

    id: str
    object: Literal["upload.part"]
    created_at: int
    upload_id: str


class ModelObject(TypedDict):
    """A model that a run can be asked to use."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
