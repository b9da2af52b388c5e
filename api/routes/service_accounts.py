"""/v1/organization/projects/{project_id}/service_accounts; for admin keys."""

from fastapi import APIRouter

from api.dependencies import AccountId, ProjectId, TheActor, ThePageOfOrganization, TheServices
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared.projects import commands as projects
from shared.projects import keys
from shared.wire.administration import (
    CreateAccount,
    CreateKey,
    ModifyAccount,
    account_object,
    lifetime,
    made_account_object,
    made_key_object,
)
from shared.wire.objects import deleted, listing
from shared.wire.shapes.administration import AccountObject, MadeAccountObject, MadeKeyObject
from shared.wire.shapes.lists import Deleted, ListObject

router = APIRouter(route_class=JsonRoute)


@router.post("/organization/projects/{project_id}/service_accounts")
async def create_service_account(
    project_id: ProjectId, body: CreateAccount, actor: TheActor, services: TheServices
) -> Reply[MadeAccountObject]:
    """Create a service account. Its key is shown this once, and opens all of the project."""
    if body.create_service_account_only:
        bare = await projects.create_account(services.executor, actor, project_id, body.name)
        return reply(made_account_object(bare, None))
    row, key = await keys.create_account(services.executor, services.contents, actor, project_id, body.name)
    return reply(made_account_object(row, key))


@router.get("/organization/projects/{project_id}/service_accounts")
async def list_service_accounts(
    project_id: ProjectId, services: TheServices, page: ThePageOfOrganization
) -> Reply[ListObject[AccountObject]]:
    """List a project's service accounts, oldest first."""
    return reply(listing(await projects.page_of_accounts(services.executor, project_id, page), account_object))


@router.get("/organization/projects/{project_id}/service_accounts/{service_account_id}")
async def get_service_account(
    project_id: ProjectId, service_account_id: AccountId, services: TheServices
) -> Reply[AccountObject]:
    """Retrieve a service account."""
    return reply(account_object(await projects.get_account(services.executor, project_id, service_account_id)))


@router.post("/organization/projects/{project_id}/service_accounts/{service_account_id}")
async def modify_service_account(
    project_id: ProjectId, service_account_id: AccountId, body: ModifyAccount, actor: TheActor, services: TheServices
) -> Reply[AccountObject]:
    """Give a service account another name."""
    row = await projects.modify_account(services.executor, actor, project_id, service_account_id, body.name)
    return reply(account_object(row))


@router.delete("/organization/projects/{project_id}/service_accounts/{service_account_id}")
async def delete_service_account(
    project_id: ProjectId, service_account_id: AccountId, actor: TheActor, services: TheServices
) -> Reply[Deleted]:
    """Delete a service account, and its keys with it."""
    await keys.remove_account(services.executor, actor, project_id, service_account_id)
    return reply(deleted("organization.project.service_account.deleted", service_account_id))


@router.post("/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys")
async def create_service_account_key(
    project_id: ProjectId,
    service_account_id: AccountId,
    actor: TheActor,
    services: TheServices,
    body: CreateKey | None = None,
) -> Reply[MadeKeyObject]:
    """Give a service account another key, which is shown this once."""
    wanted = body or CreateKey()
    made = await keys.add(
        services.executor,
        services.contents,
        actor,
        project_id,
        service_account_id,
        keys.UNNAMED if wanted.name is None else wanted.name,
        wanted.scopes,
        lifetime(wanted.expires_in_seconds),
    )
    return reply(made_key_object(made))
