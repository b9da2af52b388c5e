"""What can be done to threads and messages."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError

from shared import table
from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Executor, Row
from shared.errors import InvalidRequest, NotFound, found
from shared.threads import statements
from shared.threads.rows import Message, Thread
from shared.vault.contents import Json, secret

OrderBy = Literal["created_at", "last_activity"]

_ORDERS: dict[OrderBy, table.Order] = {
    "created_at": table.Order("created_at", statements.BY_CREATION),
    "last_activity": table.Order("active_at", statements.BY_ACTIVITY),
}


async def create(db: Executor, project_id: str, params: Mapping[str, Any]) -> Row:
    """Insert a thread and its first messages; `params` are those of `wire.threads.CreateThread`."""
    row = await db.one(statements.CREATE_THREAD, {**encoded(params), "project_id": project_id})
    if row is None:
        raise LookupError("INSERT INTO threads returned no row")
    return row


async def get(db: Executor, project_id: str, thread_id: str) -> Row:
    """The thread. Raises NotFound."""
    return found(await table.get(db, Thread, {"id": thread_id, "project_id": project_id}), "thread", thread_id)


async def page(
    db: Executor, project_id: str, page: table.Page, metadata: Mapping[str, str], order_by: OrderBy
) -> table.Listing:
    """One page of the project's threads that have these metadata, each with `active_at`, by their creation or by their
    last activity. A thread that something happens on while a client pages moves to the list's newest end.

    Raises InvalidRequest if `after` or `before` is no place in this list; by last activity a deleted thread is none.
    """
    only = table.with_metadata(metadata, statements.INDEXED_METADATA)
    return await table.page(db, Thread, {"project_id": project_id}, page, only, _ORDERS[order_by])


async def modify(db: Executor, project_id: str, thread_id: str, columns: Mapping[str, Any]) -> Row:
    """Change the thread. Raises NotFound."""
    return found(
        await table.modify(db, Thread, {"id": thread_id, "project_id": project_id}, columns), "thread", thread_id
    )


async def delete(db: Executor, by: Actor, project_id: str, thread_id: str) -> None:
    """Delete the thread with its messages and runs, an active one included: its worker finds its row gone and stops.
    It is gone for everybody at once; its rows follow (`shared/removals`). Raises NotFound.
    """
    told = entry(by, "thread.deleted", thread_id, project_id)
    params = {"thread_id": thread_id, "project_id": project_id, "entry": told}
    if await db.one(statements.DELETE_THREAD, params) is None:
        raise NotFound("thread", thread_id)


async def add_message(db: Executor, project_id: str, thread_id: str, message: Mapping[str, Any]) -> Row:
    """Append a message. Raises NotFound, or InvalidRequest while a run is active on the thread."""
    params = {"project_id": project_id, "thread_id": thread_id, **encoded({"messages": [message]})}
    while (row := await _added(db, params)) is None:
        await require_free(db, project_id, thread_id)
    return row


async def require_free(db: Executor, project_id: str, thread_id: str) -> None:
    """Make sure that messages can be added now. Raises NotFound, or InvalidRequest while a run is active."""
    await get(db, project_id, thread_id)
    active = await db.one(statements.ACTIVE_RUN, {"thread_id": thread_id, "project_id": project_id})
    if active is not None:
        raise InvalidRequest(f"Can't add messages to {thread_id} while a run {active['id']} is active.")


async def _added(db: Executor, params: Mapping[str, Any]) -> Row | None:
    try:
        return await db.one(statements.ADD_MESSAGE, params)
    except IntegrityError:  # the thread was deleted at the same moment
        return None


async def get_message(db: Executor, project_id: str, thread_id: str, message_id: str) -> Row:
    """The message. Raises NotFound."""
    return found(await table.get(db, Message, _message(project_id, thread_id, message_id)), "message", message_id)


async def modify_message(
    db: Executor, project_id: str, thread_id: str, message_id: str, columns: Mapping[str, Any]
) -> Row:
    """Change the message's metadata. Raises NotFound."""
    return found(
        await table.modify(db, Message, _message(project_id, thread_id, message_id), columns), "message", message_id
    )


async def delete_message(db: Executor, by: Actor, project_id: str, thread_id: str, message_id: str) -> None:
    """Delete the message. Raises NotFound."""
    told = entry(by, "thread.message.deleted", message_id, project_id, {"thread_id": thread_id})
    if not await table.remove(db, Message, _message(project_id, thread_id, message_id), told):
        raise NotFound("message", message_id)


def encoded(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as statements take them: lists and objects as JSON, `messages` with secret content."""
    messages = [secret(message, "content") for message in params.get("messages") or ()]
    given = {**params, "messages": messages} if "messages" in params else params
    return {name: Json(value) if isinstance(value, dict | list) else value for name, value in given.items()}


def _message(project_id: str, thread_id: str, message_id: str) -> dict[str, str]:
    return {"id": message_id, "thread_id": thread_id, "project_id": project_id}
