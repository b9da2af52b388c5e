"""Keeping accounts: what was used is added up, beside everything else that a worker does."""

import asyncio
import time
from collections.abc import Collection

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.metrics.usage import REACHED
from shared.metrics.worker import SWEEPS_FAILED
from shared.usage import budgets
from shared.usage import commands as usage
from worker.deps import Deps

log = structlog.get_logger(__name__)

EVERY_S = 2.0
TIDY_EVERY_S = 60.0


async def keep_accounts_for_ever(deps: Deps) -> None:
    """Keep accounts until cancelled."""
    tidy_at = 0.0
    while True:
        try:
            await keep_accounts(deps)
            if time.monotonic() >= tidy_at:
                await usage.tidy(deps.system)
                await _review(deps, None)
                tidy_at = time.monotonic() + TIDY_EVERY_S
        except (SQLAlchemyError, OSError) as error:
            SWEEPS_FAILED.labels("usage").inc()
            log.warning("sweep.failed", duty="usage", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)


async def keep_accounts(deps: Deps) -> None:
    """Write what settlements could not take along, add up what there is, and hold it against the budgets: whoever adds
    something up does so for those whose it is, so that the work is nobody's twice.
    """
    await deps.leftovers.write(deps.system)
    if project_ids := await usage.add_up(deps.system):
        await _review(deps, project_ids)
    deps.quota.exhausted = await budgets.exhausted(deps.system)


async def _review(deps: Deps, project_ids: Collection[str] | None) -> None:
    for reached in await budgets.review(deps.system, deps.prices, project_ids):
        REACHED.labels(reached.which).inc()
        spent = f"{reached.spent:.2f}"
        log.warning("budget.reached", project_id=reached.project_id, budget=reached.which, spent_usd=spent)
