"""A project's tokens a minute: a turn waits while they are used up, and counts when it has been heard.

While a run waits it is held like any other: its lease is renewed, a cancel and the end of its time reach it at once. If
Redis is away nothing is counted and nobody waits, whatever the setting for requests is: no run fails for a limit.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from shared.database import Row
from shared.limits.windows import Windows, of_tokens
from shared.metrics.limits import TURNS_WAITING

log = structlog.get_logger(__name__)

SOONEST = timedelta(milliseconds=1)


async def wait_for_tokens(windows: Windows, run: Row) -> None:
    """Return when the run's project has tokens left for its model. Redis is asked once a window."""
    if (limit := run["tokens_a_minute"]) is None:
        return
    with TURNS_WAITING.track_inprogress():
        while True:
            answer = await windows.ask(of_tokens(run["project_id"], run["model"], limit))
            if answer is None or answer.refused is None:
                return
            left = max(answer.counts[0].left, SOONEST)
            log.info("run.waits_for_tokens", left_s=left.total_seconds())
            await asyncio.sleep(left.total_seconds())


async def spend(windows: Windows, run: Row, usage: Mapping[str, int] | None) -> None:
    """Count what a turn cost, as its endpoint reported; it is counted also where that is more than was left."""
    if run["tokens_a_minute"] is not None and usage is not None:
        await windows.ask(of_tokens(run["project_id"], run["model"], None, usage["total_tokens"]))
