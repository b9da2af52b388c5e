"""Taking a run: the one that was rung for, or with a backlog the one whose turn it is."""

import time
from datetime import timedelta
from typing import NamedTuple

from shared.database import Database, Row
from shared.runs import statements, transitions
from shared.runs.statements import TURN, ContextLimits
from shared.runs.transitions import Transition
from worker.deps import Deps

CONTEXT = ContextLimits(items=1000, bytes=4 * 1024 * 1024)  # more than any request tells: tokens decide
TRIES = 10  # to find a turn that nobody else takes; after that the sweeper rings again
IDLE_WITHIN = timedelta(seconds=5)  # of the lock on a project's claims: a worker that is cut off lets go of it


class Claimed(NamedTuple):
    """A run that is ours, and since when at the latest, by time.monotonic(): its lease is no older."""

    run: Row
    sent: float


async def claim(run_id: str, deps: Deps) -> Claimed | None:
    """Take this run, or with a backlog the one whose turn it is; None if there is nothing to take.

    Claims leave the better part of the connections to settlements, which have a lease to keep. A run on its last
    attempt is left for later where `Live` has no room for it: it is rung for again soon.
    """
    at_once = deps.settings.project_concurrency
    async with deps.live.claiming:
        move, sent = transitions.claim(deps.owner, deps.settings.lease_duration), time.monotonic()
        if deps.live.backlog or at_once is not None:
            row = await claim_fairly(deps.database, move, at_once, room=deps.live.has_room)
        else:
            statement = statements.claim(move, run_id, CONTEXT, room=deps.live.has_room)
            row = await deps.database.one(statement.sql, statement.params)
    return None if row is None else Claimed(row, sent)


def is_usable(claimed: Row, deps: Deps) -> bool:
    """May this process work on what it has claimed? If not, it has to give it back.

    What it has read of the run may be of an earlier term than the one before, if others took the run and gave it back
    while the claim waited; and claims at the same time may have brought more runs on their last attempt than there is
    room for.
    """
    if claimed["seen"] != claimed["term"] - 1:
        return False
    on_last_attempt = claimed["attempts"] > 0 and claimed["attempts"] + 1 >= claimed["max_attempts"]
    if on_last_attempt and not deps.live.has_room:
        return False
    if on_last_attempt:
        deps.live.begin_probation(claimed["id"], claimed["term"])
    return True


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
        async with database.transaction(IDLE_WITHIN) as transaction:
            turn = await transaction.one(TURN, {"at_once": at_once, "room": room})
            if turn is None:
                return None
            statement = statements.claim_within(move, turn["project_id"], at_once, CONTEXT, room=room)
            row = await transaction.one(statement.sql, statement.params)
        if row is not None:  # otherwise somebody else took the last place, or the last run
            return row
    return None
