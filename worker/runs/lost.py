"""Runs that nobody can execute, because what is stored of them can't be opened any more."""

from shared.database import Row
from shared.metrics import worker as metrics
from shared.runs import statements, transitions
from shared.runs.overdue import announce_ends
from shared.runs.records import Records
from shared.vault.contents import ContentLost
from worker.deps import Deps
from worker.runs.following import make_room
from worker.runs.turn import NO_USAGE


async def end(deps: Deps, claimed: Row) -> None:
    """Let the run fail, which is ours; it ends cancelled if that was asked for meanwhile. It is the system that does
    so, and opens nothing. A crash before leaves it to the sweeper, and whoever claims it next comes here.
    """
    usage = {**NO_USAGE, **(claimed["usage"] or {})}
    for move in (transitions.fail(usage, "server_error", ContentLost.TOLD), transitions.acknowledge_cancel(usage)):
        statement = statements.settle(move, claimed["id"], claimed["term"], Records(opened=True))
        row = await deps.system.one(statement.sql, statement.params)
        if row is not None:
            metrics.claimed(claimed)
            metrics.settled(row)
            await announce_ends(deps.system.contents, deps.outbox, [row])
            await make_room(deps, row)
            return
