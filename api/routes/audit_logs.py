"""/v1/organization/audit_logs: who did what; for admin keys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.buckets import Names, ProjectIds, UnixTime, both
from api.dependencies import TheServices
from api.json_route import JsonRoute
from api.replies import Reply, reply
from shared.audit import commands as audit
from shared.audit.commands import Wanted
from shared.audit.entries import Event
from shared.table import Page
from shared.wire import limits
from shared.wire.audit import audit_log_object
from shared.wire.objects import listing
from shared.wire.shapes.audit import AuditLogObject
from shared.wire.shapes.lists import ListObject

router = APIRouter(route_class=JsonRoute)

Events = Annotated[list[Event] | None, Query(max_length=limits.FILTERED)]


async def _since(
    gt: Annotated[UnixTime | None, Query(alias="effective_at[gt]")] = None,
    gte: Annotated[UnixTime | None, Query(alias="effective_at[gte]")] = None,
) -> datetime | None:
    """The first instant that counts: entries are shown by their whole second."""
    firsts = [*([] if gt is None else [gt + 1]), *([] if gte is None else [gte])]
    return _instant(max(firsts)) if firsts else None


async def _until(
    lt: Annotated[UnixTime | None, Query(alias="effective_at[lt]")] = None,
    lte: Annotated[UnixTime | None, Query(alias="effective_at[lte]")] = None,
) -> datetime | None:
    """The first instant that counts no more."""
    ends = [*([] if lt is None else [lt]), *([] if lte is None else [lte + 1])]
    return _instant(min(ends)) if ends else None


async def _events(
    listed: Annotated[Events, Query(alias="event_types[]")] = None,
    plain: Annotated[Events, Query(alias="event_types")] = None,
) -> list[str] | None:
    return both(listed, plain)


async def _actor_ids(
    listed: Annotated[Names, Query(alias="actor_ids[]")] = None,
    plain: Annotated[Names, Query(alias="actor_ids")] = None,
) -> list[str] | None:
    return both(listed, plain)


async def _actor_emails(
    listed: Annotated[Names, Query(alias="actor_emails[]")] = None,
    plain: Annotated[Names, Query(alias="actor_emails")] = None,
) -> list[str] | None:
    return both(listed, plain)


async def _resource_ids(
    listed: Annotated[Names, Query(alias="resource_ids[]")] = None,
    plain: Annotated[Names, Query(alias="resource_ids")] = None,
) -> list[str] | None:
    return both(listed, plain)


async def _wanted(
    since: Annotated[datetime | None, Depends(_since)],
    until: Annotated[datetime | None, Depends(_until)],
    project_ids: ProjectIds,
    events: Annotated[list[str] | None, Depends(_events)],
    actor_ids: Annotated[list[str] | None, Depends(_actor_ids)],
    actor_emails: Annotated[list[str] | None, Depends(_actor_emails)],
    resource_ids: Annotated[list[str] | None, Depends(_resource_ids)],
    tenant_only: bool = False,  # noqa: FBT001, FBT002 # a query parameter
) -> Wanted:
    """There are no addresses of mail here, and no tenants above the organization: who asks for them finds nothing."""
    nothing = tenant_only or actor_emails is not None
    return Wanted(since, until, project_ids, events, actor_ids, resource_ids, nothing)


@router.get("/organization/audit_logs")
async def list_audit_logs(
    services: TheServices,
    wanted: Annotated[Wanted, Depends(_wanted)],
    limit: Annotated[int, Query(ge=1, le=limits.PAGE)] = 20,
    after: str | None = None,
    before: str | None = None,
) -> Reply[ListObject[AuditLogObject]]:
    """List who did what, newest first."""
    found = await audit.page(services.executor, Page(limit, "desc", after, before), wanted)
    return reply(listing(found, audit_log_object))


def _instant(unix_time: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=unix_time)
