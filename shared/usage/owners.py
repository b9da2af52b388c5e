"""What one run, one thread, one assistant has used: lines of a bill, at the prices of the day."""

from datetime import UTC
from typing import Any

from sqlalchemy import text

from shared.database import Executor, Row
from shared.usage.facts import COUNTS
from shared.usage.prices import Item, PriceList

_DAY = "CAST({instant} AT TIME ZONE 'UTC' AS date)"
_SUMS = ", ".join(f"CAST(sum({name}) AS bigint) AS {name}" for name in COUNTS)
_EACH = ", ".join(f"{name} int" for name in COUNTS)
_NAMES = ", ".join(COUNTS)

_OF_THREAD = text(f"""
SELECT {_DAY.format(instant="runs.created_at")} AS day, one.kind, one.subject, {_SUMS}
FROM runs, jsonb_to_recordset(used) AS one(kind text, subject text, {_EACH})
WHERE thread_id = :id AND project_id = :project_id GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""")

_OF_ASSISTANT = text(f"""
SELECT day, kind, subject, {_SUMS} FROM (
  SELECT day, kind, subject, project_id, {_NAMES} FROM usage_of_assistants WHERE assistant_id = :id
  UNION ALL
  SELECT {_DAY.format(instant="at")}, kind, subject, project_id, {_NAMES} FROM usage_facts WHERE assistant_id = :id
) AS used WHERE project_id = :project_id GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""")


def of_run(prices: PriceList, run: Row) -> list[Item]:
    """What it has used up to its last write; a day's price is that of its creation."""
    day = run["created_at"].astimezone(UTC).date()
    return [item for used in run["used"] for item in prices.items(used, day)]


async def of_thread(db: Executor, prices: PriceList, project_id: str, thread_id: str) -> list[Item]:
    """What its runs have used."""
    return await _items(db, prices, _OF_THREAD, project_id, thread_id)


async def of_assistant(db: Executor, prices: PriceList, project_id: str, assistant_id: str) -> list[Item]:
    """What its runs have used, those of threads that are gone too."""
    return await _items(db, prices, _OF_ASSISTANT, project_id, assistant_id)


async def _items(db: Executor, prices: PriceList, statement: Any, project_id: str, owner_id: str) -> list[Item]:
    rows = await db.all(statement, {"id": owner_id, "project_id": project_id})
    return [item for row in rows for item in prices.items(row, row["day"])]
