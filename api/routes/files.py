"""/v1/files."""

import mimetypes
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, UploadFile
from fastapi.responses import Response
from starlette.responses import StreamingResponse

from api.bodies import pieces, refuse_unknown
from api.dependencies import FileId, TheCaller, TheServices, reply
from api.json_route import JsonRoute
from shared import table
from shared.errors import InvalidRequest, NotFound
from shared.files import commands as files
from shared.files.rows import File
from shared.files.storage import BlobStore
from shared.table import Page
from shared.wire import limits
from shared.wire.files import Purpose, file_object
from shared.wire.objects import deleted, listing

router = APIRouter(route_class=JsonRoute)

UPLOAD_FIELDS = {"file", "purpose", "expires_after[anchor]", "expires_after[seconds]"}
_SHORTEST, _LONGEST = limits.FILE_EXPIRY_SECONDS


@router.post("/files")
async def upload_file(
    request: Request,
    caller: TheCaller,
    services: TheServices,
    file: UploadFile,
    purpose: Annotated[Purpose, Form()],
    anchor: Annotated[Literal["created_at"] | None, Form(alias="expires_after[anchor]")] = None,
    seconds: Annotated[int | None, Form(alias="expires_after[seconds]", ge=_SHORTEST, le=_LONGEST)] = None,
) -> Response:
    """Upload a file; it goes to the blob store in pieces."""
    refuse_unknown(await request.form(), UPLOAD_FIELDS)  # which FastAPI has read already
    if (anchor is None) != (seconds is None):
        raise InvalidRequest("'expires_after' takes both 'anchor' and 'seconds'.", param="expires_after")
    row = await files.upload(
        services.executor,
        services.store,
        caller.project_id,
        filename=_name(file),
        purpose=purpose,
        chunks=pieces(file, limits.FILE_BYTES, "A file", "file"),
        expires_after=None if seconds is None else timedelta(seconds=seconds),
    )
    return reply(file_object(row))


@router.get("/files")
async def list_files(
    caller: TheCaller,
    services: TheServices,
    purpose: str | None = None,
    limit: Annotated[int, Query(ge=1, le=limits.PAGE_OF_FILES)] = limits.PAGE_OF_FILES,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> Response:
    """List files, of one purpose or of all."""
    keys = {"project_id": caller.project_id} | ({} if purpose is None else {"purpose": purpose})
    return reply(listing(await table.page(services.executor, File, keys, Page(limit, order, after)), file_object))


@router.get("/files/{file_id}")
async def get_file(file_id: FileId, caller: TheCaller, services: TheServices) -> Response:
    """Retrieve the facts about a file."""
    return reply(file_object(await files.get(services.executor, caller.project_id, file_id)))


@router.delete("/files/{file_id}")
async def delete_file(file_id: FileId, caller: TheCaller, services: TheServices) -> Response:
    """Delete a file."""
    await files.delete(services.executor, services.store, caller.project_id, file_id)
    return reply(deleted("file", file_id))


@router.get("/files/{file_id}/content")
async def get_file_content(file_id: FileId, caller: TheCaller, services: TheServices) -> Response:
    """Download a file. What a tenant uploaded is never shown by a browser as a page of ours."""
    row = await files.get(services.executor, caller.project_id, file_id)
    headers = {
        "content-length": str(row["bytes"]),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(row['filename'])}",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(await _opened(services.store, file_id), media_type=_kind(row["filename"]), headers=headers)


def _name(file: UploadFile) -> str:
    """A name that can be stored and sent back. Raises InvalidRequest."""
    name = file.filename or ""
    storable = "\0" not in name and name == name.encode(errors="replace").decode()
    if not storable or not 0 < len(name) <= limits.FILENAME:
        raise InvalidRequest(f"A file needs a name of 1 to {limits.FILENAME} characters of Unicode.", param="file")
    return name


def _kind(filename: str) -> str:
    """By the name's last part alone: the whole of it could be read as a URL."""
    suffix = PurePosixPath(filename).suffix
    return (mimetypes.guess_type(f"file{suffix}")[0] if suffix.isascii() else None) or "application/octet-stream"


async def _opened(store: BlobStore, file_id: str) -> AsyncIterator[bytes]:
    """The bytes, once it is known that they are there. Raises NotFound."""
    chunks = store.open(file_id)
    try:
        first = await anext(chunks, b"")
    except FileNotFoundError:
        raise NotFound("file", file_id) from None

    async def all_of_it() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_it()
