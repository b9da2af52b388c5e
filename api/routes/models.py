"""/v1/models."""

from fastapi import APIRouter

from api.dependencies import TheCaller, TheServices
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared.errors import UnknownModel
from shared.wire.objects import list_object
from shared.wire.shapes.files import ModelObject
from shared.wire.shapes.lists import ListObject

router = APIRouter(route_class=JsonRoute)


@router.get("/models")
async def list_models(caller: TheCaller, services: TheServices) -> Reply[ListObject[ModelObject]]:
    """List the models that a run can be asked to use."""
    del caller
    return reply(list_object(await services.catalog.all()))


@router.get("/models/{model:path}")
async def get_model(model: str, caller: TheCaller, services: TheServices) -> Reply[ModelObject]:
    """Retrieve a model; names may contain slashes."""
    del caller
    found = await services.catalog.get(model)
    if found is None:
        raise UnknownModel(model)
    return reply(found)
