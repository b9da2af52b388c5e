"""/v1/organization/projects/{project_id}/spend_limit; for admin keys."""

from fastapi import APIRouter

from api.dependencies import ProjectId, TheActor, TheServices
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared.usage import budgets
from shared.wire.budgets import PutSpendLimit, spend_limit_object
from shared.wire.shapes.budgets import SpendLimitDeleted, SpendLimitObject

router = APIRouter(route_class=JsonRoute)


@router.get("/organization/projects/{project_id}/spend_limit")
async def get_spend_limit(project_id: ProjectId, services: TheServices) -> Reply[SpendLimitObject]:
    """Retrieve what the project may spend in a month, and what it has spent in this one."""
    return reply(spend_limit_object(await budgets.get(services.executor, services.prices, project_id)))


@router.post("/organization/projects/{project_id}/spend_limit")
async def put_spend_limit(
    project_id: ProjectId, body: PutSpendLimit, actor: TheActor, services: TheServices
) -> Reply[SpendLimitObject]:
    """Limit what the project may spend in a month, or say from what on its owners are to be told."""
    alert = body.assistantd.alert_amount if body.assistantd else None
    row = await budgets.put(services.executor, actor, services.prices, project_id, body.threshold_amount, alert)
    return reply(spend_limit_object(row))


@router.delete("/organization/projects/{project_id}/spend_limit")
async def delete_spend_limit(project_id: ProjectId, actor: TheActor, services: TheServices) -> Reply[SpendLimitDeleted]:
    """Let the project spend what it will."""
    await budgets.remove(services.executor, actor, project_id)
    return reply({"object": "project.spend_limit.deleted", "deleted": True})
