"""Images of messages, as data: URLs: the endpoint can't fetch from us."""

import base64
import mimetypes
from collections.abc import Sequence
from datetime import timedelta
from pathlib import PurePosixPath

import structlog

from shared.files import commands as files
from worker.blobs import whole
from worker.deps import Deps

log = structlog.get_logger(__name__)

BUDGET = 20 * 1024 * 1024  # bytes of one request's images: no endpoint takes more
PATIENCE = timedelta(seconds=60)  # with a store that is away


async def load(deps: Deps, project_id: str, file_ids: Sequence[str]) -> dict[str, str]:
    """data: URLs by file id: in the order of `file_ids`, as many as fit into the budget; deleted ones are left out.

    Raises StoreUnavailable when the store has been away for too long.
    """
    if not file_ids:
        return {}
    facts = {row["id"]: row for row in await files.images(deps.database, project_id, file_ids)}
    urls: dict[str, str] = {}
    left = BUDGET
    for file_id in file_ids:
        row = facts.get(file_id)
        if row is None:
            continue
        if row["bytes"] > left:
            log.warning("images.beyond_budget", file_id=file_id, bytes=row["bytes"])
            continue
        try:
            content = await whole(deps.store, file_id, PATIENCE)
        except FileNotFoundError:
            continue
        left -= row["bytes"]
        kind = mimetypes.guess_type(f"image{PurePosixPath(row['filename']).suffix}")[0] or "image/png"
        urls[file_id] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return urls
