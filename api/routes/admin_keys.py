"""/v1/organization/admin_api_keys; for admin keys, the first of which is made by `assistantd keys create --admin`."""

from typing import Literal

from fastapi import APIRouter

from api.dependencies import KeyId, TheActor, ThePageOfOrganization, TheServices
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared.projects import keys
from shared.table import Page
from shared.wire.administration import CreateAdminKey, admin_key_object, lifetime, made_admin_key_object
from shared.wire.objects import deleted, listing
from shared.wire.shapes.administration import AdminKeyObject, MadeAdminKeyObject
from shared.wire.shapes.lists import Deleted, ListObject

router = APIRouter(route_class=JsonRoute)


@router.post("/organization/admin_api_keys")
async def create_admin_key(body: CreateAdminKey, actor: TheActor, services: TheServices) -> Reply[MadeAdminKeyObject]:
    """Create a key to the administration, which is shown this once."""
    ends = lifetime(body.expires_in_seconds)
    made = await keys.create_admin(services.executor, services.contents, actor, body.name, expires_in=ends)
    return reply(made_admin_key_object(made))


@router.get("/organization/admin_api_keys")
async def list_admin_keys(
    services: TheServices, page: ThePageOfOrganization, order: Literal["asc", "desc"] = "asc"
) -> Reply[ListObject[AdminKeyObject]]:
    """List the keys to the administration."""
    found = await keys.page_of_admins(services.executor, Page(page.limit, order, page.after))
    return reply(listing(found, admin_key_object))


@router.get("/organization/admin_api_keys/{key_id}")
async def get_admin_key(key_id: KeyId, services: TheServices) -> Reply[AdminKeyObject]:
    """Retrieve the facts about a key."""
    return reply(admin_key_object(await keys.get_admin(services.executor, key_id)))


@router.delete("/organization/admin_api_keys/{key_id}")
async def delete_admin_key(key_id: KeyId, actor: TheActor, services: TheServices) -> Reply[Deleted]:
    """Revoke a key; also the one that asks, and the last one: the command line makes another."""
    await keys.remove_admin(services.executor, actor, key_id)
    return reply(deleted("organization.admin_api_key.deleted", key_id))
