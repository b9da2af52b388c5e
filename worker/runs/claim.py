"""Taking a run: the one that was rung for, or with a backlog the one whose turn it is."""

from shared.database import Database, Row
from shared.runs import statements, transitions
from shared.runs.statements import TURN, ContextLimits
from shared.runs.transitions import Transition
from worker.deps import Deps

CONTEXT = ContextLimits(items=1000, bytes=4 * 1024 * 1024)  # more than any request tells: tokens decide
TRIES = 10  # to find a turn that nobody else takes; after that the sweeper rings again


async def claim(run_id: str, deps: Deps) -> Row | None:
    """Take this run, or with a backlog the one whose turn it is; None if there is nothing to take.

    A run on its last attempt is taken only if this process has no other such run on probation: if it kills the worker
    again, it takes no neighbour with it that was down to its last attempt too. It is rung for again soon.
    """
    settings, live = deps.settings, deps.live
    move, at_once = transitions.claim(deps.owner, settings.lease_duration), settings.project_concurrency
    with live.room() as room:
        if live.backlog or at_once is not None:
            row = await claim_fairly(deps.database, move, at_once, room=room)
        else:
            statement = statements.claim(move, run_id, CONTEXT, room=room)
            row = await deps.database.one(statement.sql, statement.params)
        if row is not None and on_last_attempt(row):
            live.begin_probation(row["id"])
    return row


def on_last_attempt(run: Row) -> bool:
    """Has it lost workers already, and may lose no more?"""
    return run["attempts"] > 0 and run["attempts"] + 1 >= run["max_attempts"]


async def claim_fairly(
    database: Database, move: Transition, at_once: int | None = None, *, room: bool = True
) -> Row | None:
    """Take the run whose turn it is, of the project that holds the fewest; `at_once` is how many it may hold.

    None if there is no run to take, or others are taking each of the candidates right now.
    """
    if at_once is None:
        statement = statements.claim_fairly(move, CONTEXT, room=room)
        return await database.one(statement.sql, statement.params)
    for _ in range(TRIES):
        async with database.transaction() as transaction:
            turn = await transaction.one(TURN, {"at_once": at_once, "room": room})
            if turn is None:
                return None
            statement = statements.claim_within(move, turn["project_id"], at_once, CONTEXT, room=room)
            row = await transaction.one(statement.sql, statement.params)
        if row is not None:  # otherwise somebody else took the last place, or the last run
            return row
    return None
