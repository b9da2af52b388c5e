"""/v1/files."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Header, Query, Request, UploadFile

from api.bodies import pieces, refuse_unknown
from api.dependencies import FileId, TheCaller, TheServices
from api.downloads import Download, download, etag
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared import table
from shared.errors import InvalidRequest
from shared.files import commands as files
from shared.files.rows import File
from shared.table import Page
from shared.wire import limits
from shared.wire.files import Purpose, file_object
from shared.wire.objects import deleted, listing
from shared.wire.shapes.files import FileObject
from shared.wire.shapes.lists import Deleted, ListObject

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
) -> Reply[FileObject]:
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
        at_most=caller.limits.stored_bytes,
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
) -> Reply[ListObject[FileObject]]:
    """List files, of one purpose or of all."""
    keys = {"project_id": caller.project_id} | ({} if purpose is None else {"purpose": purpose})
    return reply(listing(await table.page(services.executor, File, keys, Page(limit, order, after)), file_object))


@router.get("/files/{file_id}")
async def get_file(file_id: FileId, caller: TheCaller, services: TheServices) -> Reply[FileObject]:
    """Retrieve the facts about a file."""
    return reply(file_object(await files.get(services.executor, caller.project_id, file_id)))


@router.delete("/files/{file_id}")
async def delete_file(file_id: FileId, caller: TheCaller, services: TheServices) -> Reply[Deleted]:
    """Delete a file."""
    await files.delete(services.executor, caller.actor, services.store, caller.project_id, file_id)
    return reply(deleted("file", file_id))


@router.get("/files/{file_id}/content")
async def get_file_content(
    file_id: FileId,
    caller: TheCaller,
    services: TheServices,
    wanted: Annotated[str | None, Header(alias="range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Download:
    """Download a file, or a range of its bytes."""
    row = await files.get(services.executor, caller.project_id, file_id)
    return await download(services.store, row, None if if_range not in (None, etag(row)) else wanted)


def _name(file: UploadFile) -> str:
    """A name that can be stored and sent back. Raises InvalidRequest."""
    name = file.filename or ""
    storable = "\0" not in name and name == name.encode(errors="replace").decode()
    if not storable or not 0 < len(name) <= limits.FILENAME:
        raise InvalidRequest(f"A file needs a name of 1 to {limits.FILENAME} characters of Unicode.", param="file")
    return name
