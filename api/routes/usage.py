"""/v1/organization/usage and /v1/organization/costs; for admin keys."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from fastapi import APIRouter

from api.buckets import (
    ApiKeyIds,
    Models,
    OfItems,
    OfModels,
    OfProjects,
    OfStores,
    ProjectIds,
    StoreIds,
    TheBuckets,
    TheDays,
    TheHours,
)
from api.dependencies import TheServices
from api.json_route import JsonRoute
from api.replies import Reply, reply
from api.services import Services
from shared.database import Row
from shared.usage import reading
from shared.usage.facts import Kind
from shared.usage.reading import Only, dimensions
from shared.wire import usage
from shared.wire.shapes.usage import (
    BucketsPage,
    CodeUsage,
    CompletionsUsage,
    Costs,
    EmbeddingsUsage,
    FileSearchUsage,
    StoresUsage,
)
from shared.wire.usage import Wanted

router = APIRouter(route_class=JsonRoute)

NOT_USED = ("audio_speeches", "audio_transcriptions", "images", "moderations", "web_search_calls")
"""What the original has besides, and nobody can use here."""

T = TypeVar("T")


async def _counted(
    services: Services, kind: Kind, buckets: Wanted, only: Only, group_by: Sequence[str], render: Callable[[Row], T]
) -> Reply[BucketsPage[T]]:
    found = await reading.counts(services.executor, kind, buckets.shown(), only, dimensions(group_by))
    return reply(usage.buckets_page(buckets, usage.rendered(found, render)))


@router.get("/organization/usage/completions")
async def get_completions_usage(
    services: TheServices,
    buckets: TheBuckets,
    project_ids: ProjectIds,
    api_key_ids: ApiKeyIds,
    models: Models,
    group_by: OfModels,
) -> Reply[BucketsPage[CompletionsUsage]]:
    """What language models were told and said: in runs, and in `rewrite_query`."""
    return await _counted(
        services, "completions", buckets, Only(project_ids, api_key_ids, models), group_by, usage.completions
    )


@router.get("/organization/usage/embeddings")
async def get_embeddings_usage(
    services: TheServices,
    buckets: TheBuckets,
    project_ids: ProjectIds,
    api_key_ids: ApiKeyIds,
    models: Models,
    group_by: OfModels,
) -> Reply[BucketsPage[EmbeddingsUsage]]:
    """What the embedding model was told: questions, and files as they were read, which belong to no key."""
    return await _counted(
        services, "embeddings", buckets, Only(project_ids, api_key_ids, models), group_by, usage.embeddings
    )


@router.get("/organization/usage/file_search_calls")
async def get_file_search_usage(
    services: TheServices,
    buckets: TheBuckets,
    project_ids: ProjectIds,
    api_key_ids: ApiKeyIds,
    vector_store_ids: StoreIds,
    group_by: OfStores,
) -> Reply[BucketsPage[FileSearchUsage]]:
    """Calls of file_search by runs; those that looked in several stores belong to none of them."""
    return await _counted(
        services,
        "file_search_calls",
        buckets,
        Only(project_ids, api_key_ids, vector_store_ids),
        group_by,
        usage.file_searches,
    )


@router.get("/organization/usage/code_interpreter_sessions")
async def get_code_interpreter_usage(
    services: TheServices, buckets: TheBuckets, project_ids: ProjectIds, group_by: OfProjects
) -> Reply[BucketsPage[CodeUsage]]:
    """Sessions of the code interpreter: one a thread and hour."""
    return await _counted(
        services, "code_interpreter_sessions", buckets, Only(project_ids), group_by, usage.code_sessions
    )


@router.get("/organization/usage/vector_stores")
async def get_vector_stores_usage(
    services: TheServices, buckets: TheHours, project_ids: ProjectIds, group_by: OfProjects
) -> Reply[BucketsPage[StoresUsage]]:
    """What vector stores keep: bytes, on the average of a bucket's hours."""
    only, by = Only(project_ids), dimensions(group_by)
    found = await reading.stored(services.executor, "vector_stores", buckets.shown(), only, by)
    return reply(usage.buckets_page(buckets, usage.rendered(found, usage.vector_stores)))


@router.get("/organization/costs")
async def get_costs(
    services: TheServices, days: TheDays, project_ids: ProjectIds, api_key_ids: ApiKeyIds, group_by: OfItems
) -> Reply[BucketsPage[Costs]]:
    """What all that was used and kept costs, day by day, at the prices of the day."""
    only, by = Only(project_ids, api_key_ids), dimensions(group_by)
    bills = await reading.costs(services.executor, services.prices, days.shown(), only, by)
    return reply(usage.buckets_page(days, usage.costs(bills, by_item="line_item" in group_by)))


async def get_no_usage(
    buckets: TheBuckets,
    project_ids: ProjectIds,
    api_key_ids: ApiKeyIds,
    models: Models,
    group_by: OfModels,
) -> Reply[BucketsPage[CompletionsUsage]]:
    """Nothing: there is nothing of the kind here. Those who ask for everything, one after the other, get on."""
    del project_ids, api_key_ids, models, group_by
    return reply(usage.buckets_page(buckets, {}))


for _kind in NOT_USED:
    router.get(f"/organization/usage/{_kind}", name=f"get_{_kind}_usage")(get_no_usage)
