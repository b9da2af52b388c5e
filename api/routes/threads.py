"""/v1/threads and their messages."""

from typing import Annotated

from fastapi import APIRouter, Query

from api import searched_files, tool_resources
from api.dependencies import MessageId, TheCaller, ThePage, TheServices, ThreadId
from api.filters import TheMetadata
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared import table
from shared.files import commands as files
from shared.threads import commands as threads
from shared.threads.rows import Message
from shared.usage import owners
from shared.wire.fields import begins_with, refuse_v1_fields
from shared.wire.objects import deleted, listing
from shared.wire.shapes.lists import Deleted, ListObject
from shared.wire.shapes.threads import MessageObject, ThreadObject
from shared.wire.threads import (
    CreateMessage,
    CreateThread,
    ModifyMetadata,
    ModifyThread,
    listed_thread_object,
    message_object,
    thread_object,
)
from shared.wire.usage import usage_facts

router = APIRouter(route_class=JsonRoute)


@router.post("/threads")
async def create_thread(
    caller: TheCaller, services: TheServices, body: CreateThread | None = None
) -> Reply[ThreadObject]:
    """Create a thread, with messages or without; the body may be absent."""
    body = body or CreateThread()
    for message in body.messages or []:
        refuse_v1_fields(message, caller.dialect, "file_ids")
    await files.require(services.executor, caller.project_id, body.referred_files())
    await searched_files.settle_thread(services, caller, body)
    return reply(thread_object(await threads.create(services.executor, caller.project_id, body.params())))


@router.get("/threads")
async def list_threads(
    caller: TheCaller,
    services: TheServices,
    page: ThePage,
    metadata: TheMetadata,
    order_by: threads.OrderBy = "created_at",
) -> Reply[ListObject[ThreadObject]]:
    """List the project's threads, by creation or by last activity; ours, beyond the original."""
    found = await threads.page(services.executor, caller.project_id, page, metadata, order_by)
    return reply(listing(found, listed_thread_object))


@router.get("/threads/{thread_id}")
async def get_thread(
    thread_id: ThreadId,
    caller: TheCaller,
    services: TheServices,
    assistantd: bool = False,  # noqa: FBT001, FBT002 # a query parameter
) -> Reply[ThreadObject]:
    """Retrieve a thread; `assistantd=true` adds what its runs have used, and what that costs."""
    shown = thread_object(await threads.get(services.executor, caller.project_id, thread_id))
    if assistantd:
        used = await owners.of_thread(services.executor, services.prices, caller.project_id, thread_id)
        shown["assistantd"] = {"usage": usage_facts(used)}
    return reply(shown)


@router.post("/threads/{thread_id}")
async def modify_thread(
    thread_id: ThreadId, body: ModifyThread, caller: TheCaller, services: TheServices
) -> Reply[ThreadObject]:
    """Modify a thread."""
    await files.require(services.executor, caller.project_id, body.referred_files())
    await tool_resources.require(services, caller, body.tool_resources)
    row = await threads.modify(services.executor, caller.project_id, thread_id, body.columns())
    return reply(thread_object(row))


@router.delete("/threads/{thread_id}")
async def delete_thread(thread_id: ThreadId, caller: TheCaller, services: TheServices) -> Reply[Deleted]:
    """Delete a thread with all that is in it; an active run ends without a trace."""
    await threads.delete(services.executor, caller.actor, caller.project_id, thread_id)
    return reply(deleted("thread.deleted", thread_id))


@router.post("/threads/{thread_id}/messages")
async def create_message(
    thread_id: ThreadId, body: CreateMessage, caller: TheCaller, services: TheServices
) -> Reply[MessageObject]:
    """Add a message; not while a run is active on the thread."""
    refuse_v1_fields(body, caller.dialect, "file_ids")
    await files.require(services.executor, caller.project_id, body.referred_files())
    if attached := body.searched_files():
        await threads.require_free(services.executor, caller.project_id, thread_id)
        await searched_files.put(services, caller, "threads", thread_id, attached)
    row = await threads.add_message(services.executor, caller.project_id, thread_id, body.record())
    return reply(message_object(row, caller.dialect))


@router.get("/threads/{thread_id}/messages")
async def list_messages(
    thread_id: ThreadId,
    caller: TheCaller,
    services: TheServices,
    page: ThePage,
    metadata: TheMetadata,
    run_id: Annotated[Annotated[str, begins_with("run")] | None, Query()] = None,
) -> Reply[ListObject[MessageObject]]:
    """List messages, newest first by default; `run_id` leaves those that the run made, and `metadata[…]`, which is
    ours, those that have it: at worst the whole thread is looked through.
    """
    keys = {"thread_id": thread_id, "project_id": caller.project_id} | ({} if run_id is None else {"run_id": run_id})
    found = await table.page(services.executor, Message, keys, page, table.with_metadata(metadata))
    if not found.rows:
        await threads.get(services.executor, caller.project_id, thread_id)
    return reply(listing(found, lambda row: message_object(row, caller.dialect)))


@router.get("/threads/{thread_id}/messages/{message_id}")
async def get_message(
    thread_id: ThreadId, message_id: MessageId, caller: TheCaller, services: TheServices
) -> Reply[MessageObject]:
    """Retrieve a message."""
    row = await threads.get_message(services.executor, caller.project_id, thread_id, message_id)
    return reply(message_object(row, caller.dialect))


@router.post("/threads/{thread_id}/messages/{message_id}")
async def modify_message(
    thread_id: ThreadId, message_id: MessageId, body: ModifyMetadata, caller: TheCaller, services: TheServices
) -> Reply[MessageObject]:
    """Modify a message's metadata."""
    row = await threads.modify_message(services.executor, caller.project_id, thread_id, message_id, body.columns())
    return reply(message_object(row, caller.dialect))


@router.delete("/threads/{thread_id}/messages/{message_id}")
async def delete_message(
    thread_id: ThreadId, message_id: MessageId, caller: TheCaller, services: TheServices
) -> Reply[Deleted]:
    """Delete a message."""
    await threads.delete_message(services.executor, caller.actor, caller.project_id, thread_id, message_id)
    return reply(deleted("thread.message.deleted", message_id))
