"""Budgets: what a project may spend in a calendar month, UTC.

At `alert_cents` its owners are told, once a month, by the log and a metric. From `limit_cents` on it has no quota until
the month is over or the limit is raised: new runs are refused, and those that are under way end with the turn that they
are in. Costs are looked at every few seconds, so that what is under way meanwhile goes beyond the limit.

Whether a project has quota is a column of it, which is read with its keys: it costs nobody a look.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from sqlalchemy import text

from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.audit.statements import note
from shared.database import Executor, Row, Transactional
from shared.errors import NotFound
from shared.projects import commands as projects
from shared.usage import reading
from shared.usage.prices import PriceList
from shared.usage.reading import Only, Span, total

NO_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. What this project may spend in a "
    "month is spent; whoever administers the server can raise its limit."
)

CENTS = Decimal(100)

_PUT = text(f"""
WITH put AS (
  INSERT INTO budgets (project_id, limit_cents, alert_cents) VALUES (:project_id, :limit_cents, :alert_cents)
  ON CONFLICT (project_id) DO UPDATE
  SET limit_cents = excluded.limit_cents, alert_cents = excluded.alert_cents, alerted_for = NULL
  RETURNING project_id), {note("put")}
SELECT project_id FROM put""")

_REMOVE = text(f"""
WITH removed AS (DELETE FROM budgets WHERE project_id = :project_id RETURNING project_id), {note("removed")}
UPDATE projects SET exhausted_until = NULL FROM removed WHERE id = removed.project_id RETURNING id""")

_READ = text("""
SELECT budgets.*, coalesce(exhausted_until > now(), false) AS exhausted, alerted_for = :month AS alerted
FROM budgets JOIN projects ON projects.id = project_id
WHERE CAST(:project_ids AS text[]) IS NULL OR project_id = ANY(:project_ids)""")

# Only a change is written, and whoever makes it tells of it.
_EXHAUST = text("""
UPDATE projects SET exhausted_until = :until
WHERE id = :project_id AND (exhausted_until IS NULL OR exhausted_until < :until) RETURNING id""")

_REFILL = text("UPDATE projects SET exhausted_until = NULL WHERE id = :project_id AND exhausted_until IS NOT NULL")

_ALERT = text("""
UPDATE budgets SET alerted_for = :month
WHERE project_id = :project_id AND alerted_for IS DISTINCT FROM :month RETURNING project_id""")

_EXHAUSTED = text("SELECT id FROM projects WHERE exhausted_until > now()")


class Reached(NamedTuple):
    """A budget was reached, just now."""

    project_id: str
    which: Literal["alert", "limit"]
    spent: Decimal


async def put(
    db: Transactional, by: Actor, prices: PriceList, project_id: str, limit_cents: int | None, alert_cents: int | None
) -> Row:
    """Give the project this budget in place of any other. Raises NotFound, or InvalidRequest if it is archived."""
    await projects.require_active(db, project_id)
    told = entry(by, "spend_limit.updated", project_id, project_id, changed=["alert_amount", "threshold_amount"])
    cents = {"limit_cents": limit_cents, "alert_cents": alert_cents}
    await db.all(_PUT, {"project_id": project_id, **cents, "entry": told})
    await review(db, prices, [project_id], alerts=False)  # a worker tells of them
    return await get(db, prices, project_id)


async def get(db: Transactional, prices: PriceList, project_id: str) -> Row:
    """The project's budget, with what was `spent` this month. Raises NotFound, also where it has none."""
    await projects.get(db, project_id)
    row = await db.one(_READ, {"project_ids": [project_id], "month": _month(datetime.now(UTC)).date()})
    if row is None:
        raise NotFound("spend limit", project_id)
    return {**row, "spent": (await _spent(db, prices, [project_id])).get(project_id, Decimal(0))}


async def remove(db: Executor, by: Actor, project_id: str) -> None:
    """Take the project's budget away. Raises NotFound."""
    told = entry(by, "spend_limit.deleted", project_id, project_id)
    if await db.one(_REMOVE, {"project_id": project_id, "entry": told}) is None:
        raise NotFound("spend limit", project_id)


async def review(
    db: Transactional, prices: PriceList, project_ids: Collection[str] | None = None, *, alerts: bool = True
) -> Sequence[Reached]:
    """Look at what is spent by these projects, or all, and note whose budget that reaches; returns what is new."""
    now = datetime.now(UTC)
    month = _month(now)
    of = None if project_ids is None else list(project_ids)
    budgets = await db.all(_READ, {"project_ids": of, "month": month.date()})
    if not budgets:
        return []
    costs = await _spent(db, prices, [row["project_id"] for row in budgets])
    news: list[Reached] = []
    for row in budgets:
        spent, which = costs.get(row["project_id"], Decimal(0)), {"project_id": row["project_id"]}
        if row["limit_cents"] is not None and spent * CENTS >= row["limit_cents"]:
            if await db.one(_EXHAUST, {**which, "until": _month(month + timedelta(days=31))}):
                news.append(Reached(row["project_id"], "limit", spent))
        elif row["exhausted"]:
            await db.all(_REFILL, which)
        reached = alerts and row["alert_cents"] is not None and spent * CENTS >= row["alert_cents"]
        if reached and await db.one(_ALERT, {**which, "month": month.date()}):
            news.append(Reached(row["project_id"], "alert", spent))
    return news


async def exhausted(db: Executor) -> frozenset[str]:
    """Projects that have no quota now."""
    return frozenset(row["id"] for row in await db.all(_EXHAUSTED))


async def _spent(db: Transactional, prices: PriceList, project_ids: Sequence[str]) -> dict[str, Decimal]:
    """What each has spent this month."""
    now = datetime.now(UTC)
    span = Span(_month(now), now + timedelta(minutes=1), timedelta(days=1))  # what is used just now counts
    spent: dict[str, Decimal] = {}
    for lines in (await reading.costs(db, prices, span, Only(project_ids), ["project_id"])).values():
        for row, item in lines:
            spent[row["project_id"]] = spent.get(row["project_id"], Decimal(0)) + total([item])
    return spent


def _month(at: datetime) -> datetime:
    """The beginning of the month that this instant is in."""
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
