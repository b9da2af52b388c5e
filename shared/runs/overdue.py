"""Runs whose time is up, or whose end was asked for when their worker died.

API and workers both look for them: where no worker lives, runs must still come to an end.
"""

from collections.abc import Sequence

from shared.database import Executor, Row
from shared.events.log import keeping
from shared.events.writer import EventWriter
from shared.metrics import runs as metrics
from shared.redis import Sender
from shared.runs import statements, transitions
from shared.wire.runs import run_object

AT_MOST = 500  # rows of one statement


async def expire(db: Executor, outbox: Sender) -> Sequence[Row]:
    """Expire overdue runs that nobody holds, end those that were to be cancelled when their worker died, and tell so
    [RUN-1] [RUN-7]; returns them. A crash between leaves their streams to find it out by themselves.
    """
    ended: list[Row] = []
    for move, due in ((transitions.cancel_orphan(), "true"), (transitions.expire_overdue(), "expires_at < now()")):
        statement = statements.sweep(move, due, {"at_most": AT_MOST})
        ended += await db.all(statement.sql, statement.params)
    for row in ended:
        metrics.moved(row)
        announce_end(outbox, row)
    return ended


def announce_end(outbox: Sender, row: Row) -> None:
    """Tell that a run has ended, for whoever moved it without holding it."""
    writer = EventWriter(outbox, row["id"], row["term"], keep=keeping(row))
    writer.put(f"thread.run.{row['status']}", run_object(row, row["dialect"]))
    writer.done()
    writer.flush()
