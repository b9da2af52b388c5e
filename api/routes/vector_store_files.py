"""/v1/vector_stores/{vector_store_id}/files and file_batches."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.dependencies import FileBatchId, FileId, TheCaller, ThePage, TheServices, VectorStoreId
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared.vector_stores import files
from shared.wire.objects import deleted, listing
from shared.wire.shapes.lists import Deleted, ListObject
from shared.wire.shapes.vector_stores import ContentPage, FileBatchObject, VectorStoreFileObject
from shared.wire.vector_stores import (
    AddFile,
    AddFileBatch,
    ModifyAttributes,
    batch_object,
    content_page,
    ingestion_facts,
    store_file_object,
)

router = APIRouter(route_class=JsonRoute)

POLL_AFTER = {"openai-poll-after-ms": "250"}  # as for runs: a poll is one look at one row


Status = Annotated[Literal["in_progress", "completed", "failed", "cancelled"] | None, Query(alias="filter")]


@router.post("/vector_stores/{vector_store_id}/files")
async def add_file(
    vector_store_id: VectorStoreId, body: AddFile, caller: TheCaller, services: TheServices
) -> Reply[VectorStoreFileObject]:
    """Put a file into a vector store; one that is there already is read anew."""
    row = await files.add(services.executor, caller.project_id, vector_store_id, body.new_file())
    services.doorbell.ring_for_files(vector_store_id)
    return reply(store_file_object(row), POLL_AFTER)


@router.get("/vector_stores/{vector_store_id}/files")
async def list_files(
    vector_store_id: VectorStoreId, caller: TheCaller, services: TheServices, page: ThePage, status: Status = None
) -> Reply[ListObject[VectorStoreFileObject]]:
    """List the files in a vector store, of one status or of all."""
    found = await files.page(services.executor, caller.project_id, vector_store_id, page, files.among(status=status))
    return reply(listing(found, store_file_object))


@router.get("/vector_stores/{vector_store_id}/files/{file_id}")
async def get_file(
    vector_store_id: VectorStoreId,
    file_id: FileId,
    caller: TheCaller,
    services: TheServices,
    assistantd: bool = False,  # noqa: FBT001, FBT002 # a query parameter
) -> Reply[VectorStoreFileObject]:
    """Retrieve a file as it is in a vector store; this is what clients poll. `assistantd=true` adds how far it is."""
    row = await files.get(services.executor, caller.project_id, vector_store_id, file_id)
    shown = store_file_object(row)
    if assistantd:
        shown["assistantd"] = ingestion_facts(row)
    return reply(shown, POLL_AFTER)


@router.post("/vector_stores/{vector_store_id}/files/{file_id}")
async def modify_file(
    vector_store_id: VectorStoreId, file_id: FileId, body: ModifyAttributes, caller: TheCaller, services: TheServices
) -> Reply[VectorStoreFileObject]:
    """Replace the attributes of a file in a vector store."""
    row = await files.modify(services.executor, caller.project_id, vector_store_id, file_id, body.attributes or {})
    return reply(store_file_object(row))


@router.delete("/vector_stores/{vector_store_id}/files/{file_id}")
async def remove_file(
    vector_store_id: VectorStoreId, file_id: FileId, caller: TheCaller, services: TheServices
) -> Reply[Deleted]:
    """Take a file out of a vector store; the file itself stays."""
    await files.remove(services.executor, caller.actor, caller.project_id, vector_store_id, file_id)
    return reply(deleted("vector_store.file.deleted", file_id))


@router.get("/vector_stores/{vector_store_id}/files/{file_id}/content")
async def get_file_content(
    vector_store_id: VectorStoreId, file_id: FileId, caller: TheCaller, services: TheServices
) -> Reply[ContentPage]:
    """Retrieve what was read of a file: its chunks."""
    return reply(content_page(await files.content(services.executor, caller.project_id, vector_store_id, file_id)))


@router.post("/vector_stores/{vector_store_id}/file_batches")
async def add_batch(
    vector_store_id: VectorStoreId, body: AddFileBatch, caller: TheCaller, services: TheServices
) -> Reply[FileBatchObject]:
    """Put several files into a vector store."""
    row = await files.add_batch(services.executor, caller.project_id, vector_store_id, body.new_files())
    services.doorbell.ring_for_files(vector_store_id, sum(row["counts"].values()))
    return reply(batch_object(row), POLL_AFTER)


@router.get("/vector_stores/{vector_store_id}/file_batches/{batch_id}")
async def get_batch(
    vector_store_id: VectorStoreId, batch_id: FileBatchId, caller: TheCaller, services: TheServices
) -> Reply[FileBatchObject]:
    """Retrieve a batch; this is what clients poll."""
    row = await files.get_batch(services.executor, caller.project_id, vector_store_id, batch_id)
    return reply(batch_object(row), POLL_AFTER)


@router.post("/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel")
async def cancel_batch(
    vector_store_id: VectorStoreId, batch_id: FileBatchId, caller: TheCaller, services: TheServices
) -> Reply[FileBatchObject]:
    """Cancel what is still in progress of a batch: whoever reads one of its files finds that out by its heartbeat."""
    row = await files.cancel_batch(services.executor, caller.project_id, vector_store_id, batch_id)
    return reply(batch_object(row))


@router.get("/vector_stores/{vector_store_id}/file_batches/{batch_id}/files")
async def list_batch_files(
    vector_store_id: VectorStoreId,
    batch_id: FileBatchId,
    caller: TheCaller,
    services: TheServices,
    page: ThePage,
    status: Status = None,
) -> Reply[ListObject[VectorStoreFileObject]]:
    """List the files of a batch, of one status or of all."""
    await files.get_batch(services.executor, caller.project_id, vector_store_id, batch_id)
    of_batch = files.among(status=status, batch_id=batch_id)
    found = await files.page(services.executor, caller.project_id, vector_store_id, page, of_batch)
    return reply(listing(found, store_file_object))
