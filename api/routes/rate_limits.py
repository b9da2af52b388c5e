"""/v1/organization/projects/{project_id}/rate_limits: what a project may do with each model; for admin keys."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.catalog import Catalog
from api.dependencies import ProjectId, TheActor, TheServices
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared.database import Executor
from shared.errors import InvalidRequest, NotFound
from shared.projects import limits as project_limits
from shared.projects.limits import RATE_LIMIT
from shared.wire import limits
from shared.wire.administration import ModifyRateLimit, rate_limit_object
from shared.wire.objects import list_object
from shared.wire.shapes.administration import RateLimitObject
from shared.wire.shapes.lists import ListObject

router = APIRouter(route_class=JsonRoute)


@router.get("/organization/projects/{project_id}/rate_limits")
async def list_rate_limits(
    project_id: ProjectId,
    services: TheServices,
    limit: Annotated[int, Query(ge=1, le=limits.PAGE)] = limits.PAGE,
    after: str | None = None,
    before: str | None = None,
) -> Reply[ListObject[RateLimitObject]]:
    """List the limits of each model that there is, or that has any, by name."""
    every = await _by_model(services.executor, services.catalog, project_id)
    first, last = _place("after", after), _place("before", before)
    found = [model for model in sorted(every) if (first is None or model > first) and (last is None or model < last)]
    backwards = last is not None and first is None  # the page nearest to the cursor, as in other lists
    page = found[-limit:] if backwards else found[:limit]
    return reply(list_object([every[model] for model in page], has_more=len(found) > limit))


@router.post("/organization/projects/{project_id}/rate_limits/{rate_limit_id:path}")
async def modify_rate_limit(
    project_id: ProjectId,
    rate_limit_id: Annotated[str, Path()],
    body: ModifyRateLimit,
    actor: TheActor,
    services: TheServices,
) -> Reply[RateLimitObject]:
    """Change the limits of one model; names may contain slashes."""
    model = rate_limit_id.removeprefix(RATE_LIMIT)
    every = await _by_model(services.executor, services.catalog, project_id)
    known = model in every or await services.catalog.get(model) is not None
    if not rate_limit_id.startswith(RATE_LIMIT) or not 0 < len(model) <= limits.MODEL_NAME or not known:
        raise NotFound("rate limit", rate_limit_id)
    row = await project_limits.modify_rate(services.executor, actor, project_id, model, body.columns())
    return reply(rate_limit_object(model, row))


async def _by_model(db: Executor, catalog: Catalog, project_id: str) -> dict[str, RateLimitObject]:
    """Raises NotFound for the project."""
    kept = {row["model"]: row for row in await project_limits.rates(db, project_id)}
    names = {model["id"] for model in await catalog.all()} | kept.keys()
    return {name: rate_limit_object(name, kept.get(name)) for name in names}


def _place(param: str, cursor: str | None) -> str | None:
    """Where in the list a cursor stands, also if its model is gone. Raises InvalidRequest."""
    if cursor is None:
        return None
    if not cursor.startswith(RATE_LIMIT):
        raise InvalidRequest(f"Invalid '{param}': no object with id '{cursor}' in this list.", param=param)
    return cursor.removeprefix(RATE_LIMIT)
