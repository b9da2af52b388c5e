"""/v1/vector_stores, and searching in them."""

from fastapi import APIRouter

from api.dependencies import TheCaller, ThePage, TheServices, VectorStoreId
from api.json_route import JsonRoute
from api.replies import Reply, reply
from api.rewriting import rewritten
from shared.files import commands as files
from shared.usage import facts as usage
from shared.vector_stores import commands as stores
from shared.wire.objects import deleted, listing
from shared.wire.search import Search, results_page
from shared.wire.shapes.lists import Deleted, ListObject
from shared.wire.shapes.vector_stores import ResultsPage, VectorStoreObject
from shared.wire.vector_stores import CreateVectorStore, ModifyVectorStore, store_object

router = APIRouter(route_class=JsonRoute)


@router.post("/vector_stores")
async def create_store(
    caller: TheCaller, services: TheServices, body: CreateVectorStore | None = None
) -> Reply[VectorStoreObject]:
    """Create a vector store, with files or without; the body may be absent."""
    body = body or CreateVectorStore()
    await files.require(services.executor, caller.project_id, body.file_ids or [])
    language = services.settings.search_language
    row = await stores.create(services.executor, caller.project_id, body.columns(), body.new_files(), language)
    services.doorbell.ring_for_files(row["id"], len(body.file_ids or []))
    return reply(store_object(row))


@router.get("/vector_stores")
async def list_stores(caller: TheCaller, services: TheServices, page: ThePage) -> Reply[ListObject[VectorStoreObject]]:
    """List vector stores."""
    return reply(listing(await stores.page(services.executor, caller.project_id, page), store_object))


@router.get("/vector_stores/{vector_store_id}")
async def get_store(
    vector_store_id: VectorStoreId, caller: TheCaller, services: TheServices
) -> Reply[VectorStoreObject]:
    """Retrieve a vector store."""
    return reply(store_object(await stores.get(services.executor, caller.project_id, vector_store_id)))


@router.post("/vector_stores/{vector_store_id}")
async def modify_store(
    vector_store_id: VectorStoreId, body: ModifyVectorStore, caller: TheCaller, services: TheServices
) -> Reply[VectorStoreObject]:
    """Modify a vector store; what is absent stays as it is."""
    row = await stores.modify(services.executor, caller.project_id, vector_store_id, body.columns())
    return reply(store_object(row))


@router.delete("/vector_stores/{vector_store_id}")
async def delete_store(vector_store_id: VectorStoreId, caller: TheCaller, services: TheServices) -> Reply[Deleted]:
    """Delete a vector store; the files themselves stay."""
    await stores.delete(services.executor, caller.actor, caller.project_id, vector_store_id)
    return reply(deleted("vector_store.deleted", vector_store_id))


@router.post("/vector_stores/{vector_store_id}/search")
async def search_store(
    vector_store_id: VectorStoreId, body: Search, caller: TheCaller, services: TheServices
) -> Reply[ResultsPage]:
    """Search in a vector store."""
    queries = body.queries()
    used: list[usage.Used] = []
    if body.rewrite_query:
        queries = await rewritten(services.rewriter, queries, used.append)
    where = services.executor, caller.project_id, [vector_store_id]
    try:
        rows = await services.searcher.search(*where, queries, **body.options(), spend=used.append)
    finally:
        if used:
            await usage.record(services.executor, caller.project_id, caller.key_id, used)
    return reply(results_page(queries, rows))
