"""Uploads on the wire."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from shared.database import Row
from shared.wire import limits
from shared.wire.fields import Body, PartIdentifier
from shared.wire.files import ExpiresAfter, Purpose, file_object
from shared.wire.objects import seconds
from shared.wire.shapes.files import UploadObject, UploadPartObject

_JSON_LINES = {
    f"{kind}/{form}" for kind in ("application", "text") for form in ("jsonl", "x-jsonlines", "jsonlines", "x-ndjson")
}
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MIME_TYPE = rf"^{_NAME}/{_NAME}(;.*)?$"


class CreateUpload(Body):
    """POST /uploads. `bytes` is bound by what a file may have; the original's own limit is 8 GB."""

    filename: Annotated[str, StringConstraints(min_length=1, max_length=limits.FILENAME)]
    purpose: Purpose
    bytes: Annotated[int, Field(ge=0, le=limits.FILE_BYTES)]
    mime_type: Annotated[str, StringConstraints(pattern=_MIME_TYPE, max_length=limits.MIME_TYPE)]
    expires_after: ExpiresAfter | None = None

    @field_validator("mime_type")
    @classmethod
    def _of_its_purpose(cls, value: str, info: ValidationInfo) -> str:
        """Pictures are pictures, and what is read line by line is JSON in lines; for the rest any type will do."""
        purpose, kind = info.data.get("purpose"), value.partition(";")[0].lower()
        wrong = {
            "vision": not kind.startswith("image/") and "a type of images, such as image/png",
            "batch": kind not in _JSON_LINES and "a type of JSON lines, such as application/jsonl",
            "fine-tune": kind not in _JSON_LINES and "a type of JSON lines, such as application/jsonl",
        }.get(purpose or "")
        if wrong:
            raise PydanticCustomError(
                "invalid_value",
                "'{value}'. Purpose '{purpose}' takes {expected}.",
                {"value": value, "purpose": purpose, "expected": wrong},
            )
        return value

    def columns(self) -> dict[str, Any]:
        """The columns of the new row."""
        columns = self.model_dump(include={"filename", "purpose", "bytes", "mime_type"})
        return {**columns, "file_expires_after_s": self.expires_after.seconds if self.expires_after else None}


class CompleteUpload(Body):
    """POST /uploads/{upload_id}/complete: the parts in their order."""

    part_ids: Annotated[list[PartIdentifier], Field(max_length=limits.UPLOAD_PARTS, fail_fast=True)]
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{32}$")] | None = None


def upload_object(row: Row, file: Row | None = None) -> UploadObject:
    """A row of `uploads` as an OpenAI object, with the file that came of it."""
    return {
        "id": row["id"],
        "object": "upload",
        "bytes": row["bytes"],
        "created_at": seconds(row["created_at"]),
        "expires_at": seconds(row["expires_at"]),
        "filename": row["filename"],
        "purpose": row["purpose"],
        "status": row["status"],
        "file": None if file is None else file_object(file),
    }


def part_object(row: Row) -> UploadPartObject:
    """A row of `upload_parts` as an OpenAI object."""
    return {
        "id": row["id"],
        "object": "upload.part",
        "created_at": seconds(row["created_at"]),
        "upload_id": row["upload_id"],
    }
