"""Images of messages, as data: URLs: the endpoint can't fetch from us."""

import base64
import mimetypes
from collections.abc import Collection

import structlog
from sqlalchemy import text

from worker.deps import Deps

log = structlog.get_logger(__name__)

LARGEST = 20 * 1024 * 1024  # bytes; larger ones would be refused by every endpoint

_FILES = text("SELECT id, filename, bytes FROM files WHERE id = ANY(:ids) AND project_id = :project_id")


async def load(deps: Deps, project_id: str, file_ids: Collection[str]) -> dict[str, str]:
    """data: URLs by file id; deleted and oversized files are left out."""
    if not file_ids:
        return {}
    rows = await deps.database.all(_FILES, {"ids": list(file_ids), "project_id": project_id})
    urls: dict[str, str] = {}
    for row in rows:
        if row["bytes"] > LARGEST:
            log.warning("images.too_large", file_id=row["id"], bytes=row["bytes"])
            continue
        content = b"".join([chunk async for chunk in deps.store.open(row["id"])])
        kind = mimetypes.guess_type(row["filename"])[0] or "image/png"
        urls[row["id"]] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return urls
