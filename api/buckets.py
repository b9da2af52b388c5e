"""What questions about usage have in common: a stretch of time in buckets, and lists in the query.

Lists come as the official clients send them, `name[]=a&name[]=b`, or as curl's users do, `name=a&name=b`.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Depends, Query

from shared.wire import limits
from shared.wire.usage import COSTS_LIMITS, LIMITS, Wanted, Width, wanted

UnixTime = Annotated[int, Query(ge=0, le=limits.UNIX_TIME)]
Names = Annotated[list[str] | None, Query(max_length=limits.FILTERED)]


async def _buckets(
    start_time: UnixTime,
    end_time: UnixTime | None = None,
    bucket_width: Width = "1d",
    limit: int | None = None,
    page: str | None = None,
) -> Wanted:
    return wanted(start_time, end_time, bucket_width, limit, page, LIMITS[bucket_width])


TheBuckets = Annotated[Wanted, Depends(_buckets)]


async def _hours(
    start_time: UnixTime,
    end_time: UnixTime | None = None,
    bucket_width: Literal["1h", "1d"] = "1d",
    limit: int | None = None,
    page: str | None = None,
) -> Wanted:
    return wanted(start_time, end_time, bucket_width, limit, page, LIMITS[bucket_width])


TheHours = Annotated[Wanted, Depends(_hours)]
"""What is kept is looked at once an hour."""


async def _days(
    start_time: UnixTime,
    end_time: UnixTime | None = None,
    bucket_width: Literal["1d"] = "1d",
    limit: int | None = None,
    page: str | None = None,
) -> Wanted:
    return wanted(start_time, end_time, bucket_width, limit, page, COSTS_LIMITS)


TheDays = Annotated[Wanted, Depends(_days)]


async def _project_ids(
    listed: Annotated[Names, Query(alias="project_ids[]")] = None,
    plain: Annotated[Names, Query(alias="project_ids")] = None,
) -> list[str] | None:
    return both(listed, plain)


async def _api_key_ids(
    listed: Annotated[Names, Query(alias="api_key_ids[]")] = None,
    plain: Annotated[Names, Query(alias="api_key_ids")] = None,
) -> list[str] | None:
    return both(listed, plain)


async def _models(
    listed: Annotated[Names, Query(alias="models[]")] = None, plain: Annotated[Names, Query(alias="models")] = None
) -> list[str] | None:
    return both(listed, plain)


async def _store_ids(
    listed: Annotated[Names, Query(alias="vector_store_ids[]")] = None,
    plain: Annotated[Names, Query(alias="vector_store_ids")] = None,
) -> list[str] | None:
    return both(listed, plain)


ProjectIds = Annotated[list[str] | None, Depends(_project_ids)]
ApiKeyIds = Annotated[list[str] | None, Depends(_api_key_ids)]
Models = Annotated[list[str] | None, Depends(_models)]
StoreIds = Annotated[list[str] | None, Depends(_store_ids)]


ByModel = list[Literal["project_id", "api_key_id", "model"]] | None
ByStore = list[Literal["project_id", "api_key_id", "vector_store_id"]] | None
ByProject = list[Literal["project_id"]] | None
ByItem = list[Literal["project_id", "api_key_id", "line_item"]] | None


async def _by_model(
    listed: Annotated[ByModel, Query(alias="group_by[]")] = None,
    plain: Annotated[ByModel, Query(alias="group_by")] = None,
) -> list[str]:
    return [*(listed or ()), *(plain or ())]


async def _by_store(
    listed: Annotated[ByStore, Query(alias="group_by[]")] = None,
    plain: Annotated[ByStore, Query(alias="group_by")] = None,
) -> list[str]:
    return [*(listed or ()), *(plain or ())]


async def _by_project(
    listed: Annotated[ByProject, Query(alias="group_by[]")] = None,
    plain: Annotated[ByProject, Query(alias="group_by")] = None,
) -> list[str]:
    return [*(listed or ()), *(plain or ())]


async def _by_item(
    listed: Annotated[ByItem, Query(alias="group_by[]")] = None,
    plain: Annotated[ByItem, Query(alias="group_by")] = None,
) -> list[str]:
    return [*(listed or ()), *(plain or ())]


OfModels = Annotated[list[str], Depends(_by_model)]
OfStores = Annotated[list[str], Depends(_by_store)]
OfProjects = Annotated[list[str], Depends(_by_project)]
OfItems = Annotated[list[str], Depends(_by_item)]
"""What results are told apart by. There are no users, batches and tiers here: who asks for them is told so."""


def both(listed: Sequence[str] | None, plain: Sequence[str] | None) -> list[str] | None:
    """A list in both spellings; None in neither is no list."""
    return None if listed is None and plain is None else [*(listed or ()), *(plain or ())]
