"""Taking a run: the one that was rung for, or with a backlog the one whose turn it is."""

import time
from datetime import timedelta
from typing import NamedTuple

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.database import Database, Row
from shared.runs import statements, transitions
from shared.runs.records import Records
from shared.runs.statements import TURN, ContextLimits
from shared.runs.transitions import Transition
from shared.vault.contents import ContentLost, ContentUnavailable
from shared.vault.opened import Opened
from worker.deps import Deps
from worker.runs import lost

log = structlog.get_logger(__name__)

CONTEXT = ContextLimits(items=1000, bytes=6 * 1024 * 1024)  # 4 MB of text: more than is told, tokens decide
TRIES = 10  # to find a turn that nobody else takes; after that the sweeper rings again
IDLE_WITHIN = timedelta(seconds=5)  # of the lock on a project's claims: a worker that is cut off lets go of it


class Claimed(NamedTuple):
    """A run that is ours, its content open, and since when at the latest, by time.monotonic(): its lease is no older.
    Its events are `sealed_with` this.
    """

    run: Row
    sent: float
    sealed_with: Opened | None


async def claim(run_id: str, deps: Deps) -> Claimed | None:
    """Take this run, or with a backlog the one whose turn it is; None if there is nothing to take.

    Claims leave the better part of the connections to settlements, which have a lease to keep. A run on its last
    attempt is left for later where `Live` has no room for it: it is rung for again soon. One whose content can't be
    opened here is given back, for others may have its key: it is rung for again soon. One that nobody can open ends.
    """
    at_once = deps.settings.project_concurrency
    async with deps.live.claiming:
        move, sent = transitions.claim(deps.owner, deps.settings.lease_duration), time.monotonic()
        with deps.live.room() as room:
            limited = deps.live.limited or at_once is not None
            if deps.live.backlog or limited:
                row = await claim_fairly(deps.system, move, at_once, limited=limited, room=room)
            else:
                statement = statements.claim(move, run_id, CONTEXT, room=room)
                row = await deps.system.one(statement.sql, statement.params)
            if row is not None and row["attempts"] > 0 and row["attempts"] + 1 >= row["max_attempts"]:
                deps.live.begin_probation(row["id"], row["term"])
    if row is None:
        return None
    try:
        await deps.system.contents.decode([row])
        return Claimed(row, sent, await deps.system.contents.key(row["project_id"]))
    except ContentLost as error:
        log.error("claim.content_lost", run_id=row["id"], reason=str(error))  # noqa: TRY400 # the reason says it
        await lost.end(deps, row)
    except (ContentUnavailable, SQLAlchemyError) as error:
        reason = str(error) if isinstance(error, ContentUnavailable) else type(error).__name__
        log.error("claim.content_unavailable", run_id=row["id"], reason=reason)  # noqa: TRY400 # the reason says it
        back = statements.settle(transitions.release(), row["id"], row["term"], Records())
        await deps.system.one(back.sql, back.params)
    deps.live.end_probation(row["id"], row["term"])
    return None


def is_stale(claimed: Row) -> bool:
    """Is what was read of the run of an earlier term than the one before? Then others took it and gave it back while
    the claim waited, and it has to be claimed anew.
    """
    return claimed["seen"] != claimed["term"] - 1


async def claim_fairly(
    database: Database, move: Transition, at_once: int | None = None, *, limited: bool = False, room: bool = True
) -> Row | None:
    """Take the run whose turn it is, of the project that holds the fewest. Where any is `limited`, that counts for how
    many it may hold: by its own limit, else by `at_once`.

    None if there is no run to take, or others are taking each of the candidates right now.
    """
    if not limited:
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
