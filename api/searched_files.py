"""Files that file_search is to find because they came with a message, or in v1 belong to an assistant.

They are put into the one vector store of the thread or assistant, which is made for the first of them; reading begins
at once. That happens before what they came with is kept: a crash between the two leaves files that are searched without
a message about them, never a message whose files are not.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from api import tool_resources
from api.dependencies import Caller
from api.services import Services
from api.tool_resources import THREAD_STORE_DAYS
from shared.assistants import commands as assistants
from shared.database import Row
from shared.errors import NotFound
from shared.files import commands as files
from shared.threads import commands as threads
from shared.vector_stores import commands as stores
from shared.vector_stores import files as store_files
from shared.wire.assistants import CreateAssistant, ModifyAssistant
from shared.wire.fields import FileSearchResources, InlineVectorStore, ToolResources
from shared.wire.runs import CreateThreadAndRun
from shared.wire.threads import CreateThread
from shared.wire.vector_stores import files_of_inline

Owner = Literal["assistants", "threads"]
_SEARCHES = {"file_search", "retrieval"}


async def settle_thread(
    services: Services, caller: Caller, thread: CreateThread, run: CreateThreadAndRun | None = None
) -> None:
    """Make what the tools of a new thread work with, and put the files of its messages where they are searched.

    Raises NotFound, or InvalidRequest if the store has expired.
    """
    attached = thread.searched_files()
    decisive = run if run and run.tool_resources and run.tool_resources.file_search else thread
    store_id = named(decisive.tool_resources)
    if store_id is None:
        decisive.tool_resources = with_new(decisive.tool_resources, attached)
    both = (thread.tool_resources, run.tool_resources if run else None)
    await tool_resources.settle(services, caller, *both, expires_after_days=THREAD_STORE_DAYS)
    if store_id is not None:
        await put_into(services, caller, store_id, attached)


async def settle_assistant(services: Services, caller: Caller, assistant: CreateAssistant) -> None:
    """Make what the tools of a new assistant work with, its v1 files included. Raises like `settle_thread`."""
    attached = (assistant.file_ids or []) if any(tool.type in _SEARCHES for tool in assistant.tools or []) else []
    store_id = named(assistant.tool_resources)
    if store_id is None:
        assistant.tool_resources = with_new(assistant.tool_resources, attached)
    await tool_resources.settle(services, caller, assistant.tool_resources)
    if store_id is not None:
        await put_into(services, caller, store_id, attached)


async def follow_assistant(services: Services, caller: Caller, assistant_id: str, change: ModifyAssistant) -> None:
    """Let what is searched follow the files and tools that a v1 client is about to change. Raises like `put`."""
    row = await assistants.get(services.executor, caller.project_id, assistant_id)
    after = {**row, **change.columns()}
    if searches(after):
        await put(services, caller, "assistants", assistant_id, after["file_ids"])
    await take_out(services, caller, assistant_id, [one for one in row["file_ids"] if one not in after["file_ids"]])


async def take_out(services: Services, caller: Caller, assistant_id: str, file_ids: Sequence[str]) -> None:
    """Let files that a v1 client detached no longer be found. Raises NotFound for the assistant."""
    row = await assistants.get(services.executor, caller.project_id, assistant_id)
    if store_id := _store_of(row):
        for file_id in file_ids:
            with suppress(NotFound):  # it was never searched, or isn't any more
                await store_files.remove(services.executor, caller.actor, caller.project_id, store_id, file_id)


def searches(assistant: Row) -> bool:
    """Has it file_search among its tools?"""
    return any(tool["type"] == "file_search" for tool in assistant["tools"])


def with_new(resources: ToolResources | None, file_ids: Sequence[str]) -> ToolResources | None:
    """What the tools of something new work with, these files included: a store is described for them, or the one that
    is described has them too.
    """
    if not file_ids:
        return resources
    resources = resources or ToolResources()
    stores_described = resources.stores_to_make() or [InlineVectorStore()]
    with_files = list(dict.fromkeys([*stores_described[0].file_ids, *file_ids]))
    described = FileSearchResources(vector_stores=[stores_described[0].model_copy(update={"file_ids": with_files})])
    return resources.model_copy(update={"file_search": described})


def named(resources: ToolResources | None) -> str | None:
    """The store that is named there."""
    return next(iter(resources.store_ids()), None) if resources else None


async def put_into(services: Services, caller: Caller, store_id: str, file_ids: Sequence[str]) -> None:
    """Put files into a store; those that are in it stay as they are. Raises NotFound, or InvalidRequest if it has
    expired.
    """
    if not file_ids:
        return
    known = await store_files.known(services.executor, caller.project_id, store_id, file_ids)
    new = [file_id for file_id in dict.fromkeys(file_ids) if file_id not in known]
    if new:
        described = files_of_inline(InlineVectorStore(file_ids=new))
        await store_files.add_batch(services.executor, caller.project_id, store_id, described)
        services.doorbell.ring_for_files(store_id, len(new))


async def put(services: Services, caller: Caller, owner: Owner, owner_id: str, file_ids: Sequence[str]) -> None:
    """Put files into the store of a thread or an assistant, which is made if it has none, or has lost it.

    Raises NotFound for the owner or a file, or InvalidRequest if the store has expired.
    """
    if not file_ids:
        return None
    await files.require(services.executor, caller.project_id, file_ids)
    while True:
        row = await _get(services, caller, owner, owner_id)
        former = _store_of(row)
        if former is not None:
            with suppress(NotFound):  # the store was deleted; that the files are there was seen
                return await put_into(services, caller, former, file_ids)
        store = InlineVectorStore(file_ids=list(dict.fromkeys(file_ids)))
        days = THREAD_STORE_DAYS if owner == "threads" else None
        language = services.settings.search_language
        made = await stores.create(
            services.executor, caller.project_id, {"days": days}, files_of_inline(store), language
        )
        if await stores.name_store(services.executor, caller.project_id, owner, owner_id, former, made["id"]):
            return services.doorbell.ring_for_files(made["id"], len(store.file_ids))
        await stores.delete(services.executor, caller.actor, caller.project_id, made["id"])  # somebody else was faster


async def _get(services: Services, caller: Caller, owner: Owner, owner_id: str) -> Row:
    get = threads.get if owner == "threads" else assistants.get
    return await get(services.executor, caller.project_id, owner_id)


def _store_of(row: Row) -> str | None:
    return next(iter(row["tool_resources"].get("file_search", {}).get("vector_store_ids", [])), None)
