"""/v1/organization/projects, and the keys in them; for admin keys."""

from typing import Literal

from fastapi import APIRouter

from api.dependencies import KeyId, ProjectId, TheActor, ThePageOfOrganization, TheServices
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared.projects import commands as projects
from shared.projects import keys
from shared.wire.administration import CreateProject, ModifyProject, project_key_object, project_object
from shared.wire.objects import deleted, list_object, listing
from shared.wire.shapes.administration import ProjectKeyObject, ProjectObject
from shared.wire.shapes.lists import Deleted, ListObject

router = APIRouter(route_class=JsonRoute)


@router.post("/organization/projects")
async def create_project(body: CreateProject, actor: TheActor, services: TheServices) -> Reply[ProjectObject]:
    """Create a project."""
    return reply(project_object(await projects.create(services.executor, actor, body.name)))


@router.get("/organization/projects")
async def list_projects(
    services: TheServices,
    page: ThePageOfOrganization,
    include_archived: bool = False,  # noqa: FBT001, FBT002 # a query parameter
) -> Reply[ListObject[ProjectObject]]:
    """List projects, oldest first."""
    found = await projects.page(services.executor, page, include_archived=include_archived)
    return reply(listing(found, project_object))


@router.get("/organization/projects/{project_id}")
async def get_project(project_id: ProjectId, services: TheServices) -> Reply[ProjectObject]:
    """Retrieve a project."""
    return reply(project_object(await projects.get(services.executor, project_id)))


@router.post("/organization/projects/{project_id}")
async def modify_project(
    project_id: ProjectId, body: ModifyProject, actor: TheActor, services: TheServices
) -> Reply[ProjectObject]:
    """Give a project another name, or other limits."""
    return reply(project_object(await projects.modify(services.executor, actor, project_id, body.columns())))


@router.post("/organization/projects/{project_id}/archive")
async def archive_project(project_id: ProjectId, actor: TheActor, services: TheServices) -> Reply[ProjectObject]:
    """Close a project for good; its data stay."""
    return reply(project_object(await projects.archive(services.executor, actor, project_id)))


@router.get("/organization/projects/{project_id}/api_keys")
async def list_project_keys(
    project_id: ProjectId,
    services: TheServices,
    page: ThePageOfOrganization,
    owner_project_access: Literal["active", "inactive", "any"] = "any",
) -> Reply[ListObject[ProjectKeyObject]]:
    """List a project's keys, oldest first. Service accounts always have access to their project."""
    found = await keys.page(services.executor, project_id, page)
    return reply(list_object([]) if owner_project_access == "inactive" else listing(found, project_key_object))


@router.get("/organization/projects/{project_id}/api_keys/{api_key_id}")
async def get_project_key(project_id: ProjectId, api_key_id: KeyId, services: TheServices) -> Reply[ProjectKeyObject]:
    """Retrieve the facts about a key."""
    return reply(project_key_object(await keys.get(services.executor, project_id, api_key_id)))


@router.delete("/organization/projects/{project_id}/api_keys/{api_key_id}")
async def delete_project_key(
    project_id: ProjectId, api_key_id: KeyId, actor: TheActor, services: TheServices
) -> Reply[Deleted]:
    """Revoke a key; the original does so only together with its service account."""
    await keys.remove(services.executor, actor, project_id, api_key_id)
    return reply(deleted("organization.project.api_key.deleted", api_key_id))
