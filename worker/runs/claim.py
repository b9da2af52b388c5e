"""Taking a run: the one that was rung for, or with a backlog the one whose turn it is."""

from datetime import timedelta

from shared.database import Database, Row
from shared.runs import statements, transitions
from shared.runs.statements import TURN, ContextLimits

CONTEXT = ContextLimits(items=200, bytes=4 * 1024 * 1024)
TRIES = 10  # to find a turn that nobody else takes; after that the sweeper rings again


async def claim(database: Database, owner: str, lease: timedelta, run_id: str) -> Row | None:
    """Take this run; None if somebody else has it, or it is over."""
    statement = statements.claim(transitions.claim(owner, lease), run_id, CONTEXT)
    return await database.one(statement.sql, statement.params)


async def claim_fairly(database: Database, owner: str, lease: timedelta, at_once: int | None = None) -> Row | None:
    """Take the run whose turn it is, of the project that holds the fewest; `at_once` is how many it may hold.

    None if there is no run to take, or others are taking each of the candidates right now.
    """
    move = transitions.claim(owner, lease)
    if at_once is None:
        statement = statements.claim_fairly(move, CONTEXT)
        return await database.one(statement.sql, statement.params)
    for _ in range(TRIES):
        async with database.transaction() as transaction:
            turn = await transaction.one(TURN, {"at_once": at_once})
            if turn is None:
                return None
            statement = statements.claim_within(move, turn["project_id"], at_once, CONTEXT)
            row = await transaction.one(statement.sql, statement.params)
        if row is not None:  # otherwise somebody else took the last place, or the last run
            return row
    return None
