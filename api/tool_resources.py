"""What the tools of an assistant or a thread work with, before it is kept: it has to be there, or is made."""

from api.dependencies import Caller
from api.services import Services
from shared.errors import InvalidRequest
from shared.files import commands as files
from shared.vector_stores import commands as stores
from shared.wire.fields import ToolResources
from shared.wire.vector_stores import files_of_inline

THREAD_STORE_DAYS = 7
"""A store that is made with a thread is forgotten so many days after its last use, as the original did."""


async def settle(
    services: Services, caller: Caller, *resources: ToolResources | None, expires_after_days: int | None = None
) -> None:
    """Make the vector stores that are described, and name them where they were described. A crash before what uses them
    is kept leaves stores that nothing uses; they are listed, and can be deleted.

    Raises NotFound for a store or a file that isn't there; nothing has been made then.
    """
    given = [one for one in resources if one is not None]
    named = [store_id for one in given for store_id in one.store_ids()]
    await stores.require(services.executor, caller.project_id, named)
    described = [store for one in given for store in one.stores_to_make()]
    await files.require(services.executor, caller.project_id, [f for store in described for f in store.file_ids])
    for one in given:
        if not one.stores_to_make():
            continue
        made: list[str] = []
        for store in one.stores_to_make():
            columns = {"metadata": store.metadata or {}, "days": expires_after_days}
            language = services.settings.search_language
            row = await stores.create(services.executor, caller.project_id, columns, files_of_inline(store), language)
            services.doorbell.ring_for_files(row["id"], len(store.file_ids))
            made.append(row["id"])
        one.refer_to(made)


async def require(services: Services, caller: Caller, resources: ToolResources | None) -> None:
    """For what is modified: stores are named, not made. Raises NotFound, or InvalidRequest."""
    if resources is None:
        return
    if resources.file_search is not None and "vector_stores" in resources.file_search.model_fields_set:
        param = "tool_resources.file_search.vector_stores"
        raise InvalidRequest(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")
    await stores.require(services.executor, caller.project_id, resources.store_ids())
