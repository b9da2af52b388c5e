"""What follows a commit that concerns a run: tell the log, ring a worker, answer with the run or with its events.

Redis is not waited for: the row is the fact, and if the process dies right here the sweeper rings for the run.
"""

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from api.reader import BEGINNING
from api.replies import Reply, reply
from api.services import Services
from api.sse import EventStream
from shared.crashpoints import crossing
from shared.database import Row
from shared.errors import InvalidRequest
from shared.events.log import keeping
from shared.events.replay import STILL
from shared.events.types import EventId
from shared.events.writer import EventWriter
from shared.runs.status import TERMINAL
from shared.tracing import spans
from shared.wire.fields import Dialect
from shared.wire.runs import run_object
from shared.wire.shapes.runs import RunObject
from shared.wire.shapes.threads import ThreadObject
from shared.wire.steps import step_object
from shared.wire.threads import thread_object

TOLD_AFTER = timedelta(seconds=10)
"""How long ago a run must have come to rest for its log to be complete, or lost: the row is ahead of the last events.
Before that, `Streams` has a second look."""
POLL_AFTER = {"openai-poll-after-ms": "250"}  # a poll is one look at one row


class RunStream(EventStream):
    """The events of a run that come after one of them."""

    def __init__(self, frames: AsyncGenerator[bytes], row: Row, begins_after: EventId) -> None:
        super().__init__(frames)
        self.run_id: str = row["id"]
        self.thread_id: str = row["thread_id"]
        self.begins_after = begins_after


def new_thread(row: Row, params: Mapping[str, Any]) -> ThreadObject:
    """The thread that was made in the statement that made this run, and at its instant."""
    return thread_object(
        {
            "id": row["thread_id"],
            "created_at": row["created_at"],
            "metadata": params["thread_metadata"],
            "tool_resources": params["tool_resources"],
        }
    )


async def started(
    services: Services, row: Row, dialect: Dialect, *, stream: bool, thread: ThreadObject | None = None
) -> Reply[RunObject] | RunStream:
    """A run was created."""
    crossing("run.created")
    spans.note({spans.RUN: row["id"], spans.THREAD: row["thread_id"]})
    run = run_object(row, dialect)
    writer = await _writer(services, row)
    if thread is not None:
        writer.put("thread.created", thread)
    writer.put("thread.run.created", run)
    writer.put("thread.run.queued", run)
    return _rung(services, row, writer, run, stream=stream)


async def resumed(
    services: Services, row: Row, step: Mapping[str, Any], dialect: Dialect, *, stream: bool
) -> Reply[RunObject] | RunStream:
    """Tool outputs were submitted."""
    crossing("outputs.submitted")
    spans.link(row["traceparent"])
    run = run_object(row, dialect)
    writer = await _writer(services, row)
    writer.put("thread.run.step.completed", step_object(step, dialect, contents=row["include_contents"]))
    writer.put("thread.run.queued", run)
    return _rung(services, row, writer, run, stream=stream)


def promoted(services: Services, row: Row | None) -> None:
    """The turn of a run that was waiting for its thread has come."""
    if row is not None:
        services.doorbell.ring(row)


async def cancelled(services: Services, row: Row, dialect: Dialect) -> Reply[RunObject]:
    """A run was cancelled, or its worker has to be told."""
    crossing("cancel.requested")
    run = run_object(row, dialect)
    if row["status"] in TERMINAL:
        writer = await _writer(services, row)
        writer.put("thread.run.cancelled", run)
        writer.done()
        writer.flush()
    else:
        services.doorbell.cancel(row["id"])
    return reply(run)


def joined(services: Services, row: Row, last_event_id: str | None) -> RunStream:
    """A client listens in, from the beginning or after the event that it saw last. Raises InvalidRequest."""
    try:
        after = EventId.parse(last_event_id) if last_event_id else BEGINNING
    except ValueError:
        after = None
    if after is None or after.term > row["term"]:
        message = f"Invalid 'Last-Event-ID': '{last_event_id}'. Expected the id of an event of this run."
        raise InvalidRequest(message, param="Last-Event-ID")
    reader = services.streams.subscribe(row["id"], after)
    reader.fall_behind()
    if row["status"] in STILL and _moved_at(row) < datetime.now(UTC) - TOLD_AFTER:
        reader.stop_with(row)
    return RunStream(services.streams.follow(reader), row, after)


def _moved_at(row: Row) -> datetime:
    return datetime.fromisoformat(row["history"][-1]["at"])


async def _writer(services: Services, row: Row) -> EventWriter:
    key = await services.contents.key(row["project_id"])
    return EventWriter(services.outbox, row["id"], row["term"], sealed_with=key, keep=keeping(row))


def _rung(
    services: Services, row: Row, writer: EventWriter, run: RunObject, *, stream: bool
) -> Reply[RunObject] | RunStream:
    """Subscribe before ringing, so that no event can be missed."""
    run_id, commands = row["id"], writer.take()
    reader = services.streams.subscribe(run_id, writer.entry.last) if stream and writer.entry else None
    if row["waiting"]:  # for its thread: it is rung for when its turn comes
        services.outbox.send(commands)
    else:
        services.doorbell.ring(row, *commands)
    crossing("run.rung")
    if reader is None or writer.entry is None:
        return reply(run, POLL_AFTER)
    frames = services.streams.follow(reader, writer.entry.frames)
    return RunStream(frames, row, EventId(writer.entry.last.term, 0))
