"""/v1/uploads: files that come in parts."""

from fastapi import APIRouter, Request, UploadFile

from api.bodies import pieces, refuse_unknown
from api.dependencies import TheCaller, TheServices, UploadId
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared.uploads import commands as uploads
from shared.wire import limits
from shared.wire.shapes.files import UploadObject, UploadPartObject
from shared.wire.uploads import CompleteUpload, CreateUpload, part_object, upload_object

router = APIRouter(route_class=JsonRoute)


@router.post("/uploads")
async def create_upload(body: CreateUpload, caller: TheCaller, services: TheServices) -> Reply[UploadObject]:
    """Announce a file that comes in parts; it has an hour."""
    at_most = caller.limits.stored_bytes
    return reply(upload_object(await uploads.create(services.executor, caller.project_id, body.columns(), at_most)))


@router.post("/uploads/{upload_id}/parts")
async def add_part(
    request: Request, upload_id: UploadId, data: UploadFile, caller: TheCaller, services: TheServices
) -> Reply[UploadPartObject]:
    """Add a part; in which place it stands is said at the end."""
    refuse_unknown(await request.form(), {"data"})  # which FastAPI has read already
    chunks = pieces(data, limits.UPLOAD_PART_BYTES, "A part", "data")
    row = await uploads.add_part(services.executor, services.store, caller.project_id, upload_id, chunks)
    return reply(part_object(row))


@router.post("/uploads/{upload_id}/complete")
async def complete_upload(
    upload_id: UploadId, body: CompleteUpload, caller: TheCaller, services: TheServices
) -> Reply[UploadObject]:
    """Make the file of its parts."""
    upload, file = await uploads.complete(
        services.executor,
        services.store,
        caller.project_id,
        upload_id,
        body.part_ids,
        body.md5,
        caller.limits.stored_bytes,
    )
    return reply(upload_object(upload, file))


@router.post("/uploads/{upload_id}/cancel")
async def cancel_upload(upload_id: UploadId, caller: TheCaller, services: TheServices) -> Reply[UploadObject]:
    """Give the upload up."""
    row = await uploads.cancel(services.executor, caller.actor, caller.project_id, upload_id)
    return reply(upload_object(row))
