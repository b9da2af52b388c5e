"""Files on the wire."""

from shared.database import Row
from shared.wire.objects import Object, seconds


def file_object(row: Row) -> Object:
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
