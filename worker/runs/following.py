"""What could not begin because of a run that has ended."""

from shared.crashpoints import crossing
from shared.database import Row
from shared.runs import commands
from shared.runs.statements import NEXT_OF_PROJECT
from worker.deps import Deps


async def make_room(deps: Deps, run: Row) -> None:
    """Ring for it. If the process dies before, the sweeper does."""
    if run["has_next"] and (following := await commands.promote(deps.database, run["thread_id"])) is not None:
        crossing("run.promoted")
        deps.doorbell.ring(following)
    if deps.live.limited or deps.settings.project_concurrency is not None:
        for queued in await deps.database.all(NEXT_OF_PROJECT, {"project_id": run["project_id"]}):
            deps.doorbell.ring(queued)
