"""Reading the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import table
from shared.audit import statements
from shared.audit.rows import AuditEntry
from shared.database import Executor
from shared.table import Listing, Page


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: those that meet all that is said here; None says nothing. `since` counts, `until` doesn't."""

    since: datetime | None = None
    until: datetime | None = None
    project_ids: Sequence[str] | None = None
    events: Sequence[str] | None = None
    actor_ids: Sequence[str] | None = None
    resource_ids: Sequence[str] | None = None
    nothing: bool = False


async def page(db: Executor, page: Page, wanted: Wanted) -> Listing:
    """A page of the entries, each with `number` and `hash` of its link and its `project_name`. Raises InvalidRequest.

    Entries are ordered by when their statements began: one may come to stand before others that were seen already, if
    it took longer to be committed. The chain's numbers are in the order of commits.
    """
    found = await table.page(db, AuditEntry, {}, page, _only(wanted))
    rows = await db.all(statements.FACTS, {"ids": [row["id"] for row in found.rows]}) if found.rows else []
    facts = {row["id"]: row for row in rows}
    return Listing([{**row, **facts[row["id"]]} for row in found.rows], found.has_more)


def _only(wanted: Wanted) -> table.Only:
    conditions = {
        "since": (wanted.since, "created_at >= :since"),
        "until": (wanted.until, "created_at < :until"),
        "project_ids": (wanted.project_ids, "project_id = ANY(:project_ids)"),
        "events": (wanted.events, "type = ANY(:events)"),
        "actor_ids": (wanted.actor_ids, "(actor_id = ANY(:actor_ids) OR actor_account_id = ANY(:actor_ids))"),
        "resource_ids": (wanted.resource_ids, "resource_id = ANY(:resource_ids)"),
    }
    said: dict[str, tuple[Any, str]] = {name: one for name, one in conditions.items() if one[0] is not None}
    where = [sql for _, sql in said.values()] + (["false"] if wanted.nothing else [])
    return table.Only(" AND ".join(where) or "true", {name: value for name, (value, _) in said.items()})
