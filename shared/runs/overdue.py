"""Runs whose time is up, or whose end was asked for when their worker died.

API and workers both look for them: where no worker lives, runs must still come to an end.
"""

from collections.abc import Sequence

import structlog

from shared.database import Executor, Row
from shared.events.log import keeping
from shared.events.writer import EventWriter
from shared.metrics import runs as metrics
from shared.redis import Sender
from shared.runs import statements, transitions
from shared.vault.contents import Contents, ContentUnavailable
from shared.wire.runs import run_object

log = structlog.get_logger(__name__)

AT_MOST = 500  # rows of one statement


async def expire(db: Executor, contents: Contents, outbox: Sender) -> Sequence[Row]:
    """Expire overdue runs that nobody holds, end those that were to be cancelled when their worker died, and tell so
    [RUN-1] [RUN-7]; returns them. A crash between leaves their streams to find it out by themselves.
    """
    ended: list[Row] = []
    for move, due in ((transitions.cancel_orphan(), "true"), (transitions.expire_overdue(), "expires_at < now()")):
        statement = statements.sweep(move, due, {"at_most": AT_MOST})
        ended += await db.all(statement.sql, statement.params)
    for row in ended:
        metrics.moved(row)
    await announce_ends(contents, outbox, ended)
    return ended


async def announce_ends(contents: Contents, outbox: Sender, rows: Sequence[Row]) -> None:
    """Tell that runs have ended, for whoever moved them without holding them. Streams of a run whose content can't be
    opened here find it out by themselves.
    """
    for row in rows:
        try:
            await contents.decode([row])
            await announce_end(contents, outbox, row)
        except ContentUnavailable as error:
            log.warning("overdue.not_told", run_id=row["id"], reason=str(error))


async def announce_end(contents: Contents, outbox: Sender, row: Row) -> None:
    """The same of one run whose content is open. Raises ContentUnavailable."""
    key = await contents.key(row["project_id"])
    writer = EventWriter(outbox, row["id"], row["term"], sealed_with=key, keep=keeping(row))
    writer.put(f"thread.run.{row['status']}", run_object(row, row["dialect"]))
    writer.done()
    writer.flush()
