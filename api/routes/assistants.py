"""/v1/assistants."""

from fastapi import APIRouter

from api import searched_files, tool_resources
from api.dependencies import AssistantId, TheCaller, ThePage, TheServices
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared import table
from shared.assistants import commands as assistants
from shared.assistants.rows import Assistant
from shared.files import commands as files
from shared.usage import owners
from shared.wire.assistants import CreateAssistant, ModifyAssistant, assistant_object
from shared.wire.fields import refuse_v1_fields
from shared.wire.objects import deleted, listing
from shared.wire.shapes.assistants import AssistantObject
from shared.wire.shapes.lists import Deleted, ListObject
from shared.wire.usage import usage_facts

router = APIRouter(route_class=JsonRoute)


@router.post("/assistants")
async def create_assistant(body: CreateAssistant, caller: TheCaller, services: TheServices) -> Reply[AssistantObject]:
    """Create an assistant."""
    refuse_v1_fields(body, caller.dialect, "file_ids")
    await files.require(services.executor, caller.project_id, body.referred_files())
    await searched_files.settle_assistant(services, caller, body)
    row = await assistants.create(services.executor, caller.project_id, body.columns())
    return reply(assistant_object(row, caller.dialect))


@router.get("/assistants")
async def list_assistants(
    caller: TheCaller, services: TheServices, page: ThePage
) -> Reply[ListObject[AssistantObject]]:
    """List assistants."""
    found = await table.page(services.executor, Assistant, {"project_id": caller.project_id}, page)
    return reply(listing(found, lambda row: assistant_object(row, caller.dialect)))


@router.get("/assistants/{assistant_id}")
async def get_assistant(
    assistant_id: AssistantId,
    caller: TheCaller,
    services: TheServices,
    assistantd: bool = False,  # noqa: FBT001, FBT002 # a query parameter
) -> Reply[AssistantObject]:
    """Retrieve an assistant; `assistantd=true` adds what its runs have used, and what that costs."""
    shown = assistant_object(await assistants.get(services.executor, caller.project_id, assistant_id), caller.dialect)
    if assistantd:
        used = await owners.of_assistant(services.executor, services.prices, caller.project_id, assistant_id)
        shown["assistantd"] = {"usage": usage_facts(used)}
    return reply(shown)


@router.post("/assistants/{assistant_id}")
async def modify_assistant(
    assistant_id: AssistantId, body: ModifyAssistant, caller: TheCaller, services: TheServices
) -> Reply[AssistantObject]:
    """Modify an assistant; what is absent stays as it is."""
    refuse_v1_fields(body, caller.dialect, "file_ids")
    await files.require(services.executor, caller.project_id, body.referred_files())
    await tool_resources.require(services, caller, body.tool_resources)
    if caller.dialect == "v1":
        await searched_files.follow_assistant(services, caller, assistant_id, body)
    row = await assistants.modify(services.executor, caller.project_id, assistant_id, body.columns())
    return reply(assistant_object(row, caller.dialect))


@router.delete("/assistants/{assistant_id}")
async def delete_assistant(assistant_id: AssistantId, caller: TheCaller, services: TheServices) -> Reply[Deleted]:
    """Delete an assistant; its runs and messages stay."""
    await assistants.delete(services.executor, caller.actor, caller.project_id, assistant_id)
    return reply(deleted("assistant.deleted", assistant_id))
