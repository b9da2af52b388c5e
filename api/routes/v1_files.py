"""v1's /files under assistants and messages: which files they name. To v2 these addresses are unknown."""

from collections.abc import Callable

from fastapi import APIRouter

from api import searched_files
from api.dependencies import AssistantId, FileId, MessageId, TheCaller, ThePage, TheServices, ThreadId
from api.json_route import V1Route
from api.replies import Reply, reply
from shared import table
from shared.assistants import commands as assistants
from shared.database import Row
from shared.errors import NotFound
from shared.files import commands as files
from shared.files.rows import File
from shared.threads import commands as threads
from shared.wire.assistants import CreateAssistantFile
from shared.wire.files import assistant_file_object, message_file_object
from shared.wire.objects import Shown, deleted, listing
from shared.wire.shapes.assistants import AssistantFileObject
from shared.wire.shapes.lists import Deleted, ListObject
from shared.wire.shapes.threads import MessageFileObject

router = APIRouter(route_class=V1Route)


@router.post("/assistants/{assistant_id}/files")
async def attach_file(
    assistant_id: AssistantId, body: CreateAssistantFile, caller: TheCaller, services: TheServices
) -> Reply[AssistantFileObject]:
    """Attach a file to an assistant."""
    file = await files.get(services.executor, caller.project_id, body.file_id)
    assistant = await assistants.get(services.executor, caller.project_id, assistant_id)
    assistants.require_room(assistant, body.file_id)
    if searched_files.searches(assistant):
        await searched_files.put(services, caller, "assistants", assistant_id, [body.file_id])
    await assistants.attach_file(services.executor, caller.project_id, assistant_id, body.file_id)
    return reply(assistant_file_object(file, assistant_id))


@router.get("/assistants/{assistant_id}/files")
async def list_assistant_files(
    assistant_id: AssistantId, caller: TheCaller, services: TheServices, page: ThePage
) -> Reply[ListObject[AssistantFileObject]]:
    """List the assistant's files."""
    row = await assistants.get(services.executor, caller.project_id, assistant_id)
    return await _listed(services, caller, row, page, lambda file: assistant_file_object(file, assistant_id))


@router.get("/assistants/{assistant_id}/files/{file_id}")
async def get_assistant_file(
    assistant_id: AssistantId, file_id: FileId, caller: TheCaller, services: TheServices
) -> Reply[AssistantFileObject]:
    """Retrieve one of the assistant's files."""
    row = await assistants.get(services.executor, caller.project_id, assistant_id)
    return reply(assistant_file_object(await _one(services, caller, row, file_id), assistant_id))


@router.delete("/assistants/{assistant_id}/files/{file_id}")
async def detach_file(
    assistant_id: AssistantId, file_id: FileId, caller: TheCaller, services: TheServices
) -> Reply[Deleted]:
    """Detach a file from the assistant; the file itself stays."""
    await assistants.detach_file(services.executor, caller.actor, caller.project_id, assistant_id, file_id)
    await searched_files.take_out(services, caller, assistant_id, [file_id])
    return reply(deleted("assistant.file.deleted", file_id))


@router.get("/threads/{thread_id}/messages/{message_id}/files")
async def list_message_files(
    thread_id: ThreadId, message_id: MessageId, caller: TheCaller, services: TheServices, page: ThePage
) -> Reply[ListObject[MessageFileObject]]:
    """List the files that came with a message, and are still there."""
    row = await threads.get_message(services.executor, caller.project_id, thread_id, message_id)
    return await _listed(services, caller, row, page, lambda file: message_file_object(file, message_id))


@router.get("/threads/{thread_id}/messages/{message_id}/files/{file_id}")
async def get_message_file(
    thread_id: ThreadId, message_id: MessageId, file_id: FileId, caller: TheCaller, services: TheServices
) -> Reply[MessageFileObject]:
    """Retrieve one of the files that came with a message."""
    row = await threads.get_message(services.executor, caller.project_id, thread_id, message_id)
    return reply(message_file_object(await _one(services, caller, row, file_id), message_id))


async def _listed(
    services: TheServices, caller: TheCaller, row: Row, page: ThePage, render: Callable[[Row], Shown]
) -> Reply[ListObject[Shown]]:
    """A page of the files that a row names. They are in the order of their own making, as their `created_at` tells."""
    keys = {"project_id": caller.project_id}
    return reply(listing(await table.page(services.executor, File, keys, page, files.named(row["file_ids"])), render))


async def _one(services: TheServices, caller: TheCaller, row: Row, file_id: str) -> Row:
    """A file that the row names. Raises NotFound."""
    if file_id not in row["file_ids"]:
        raise NotFound("file", file_id)
    return await files.get(services.executor, caller.project_id, file_id)
