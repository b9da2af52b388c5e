"""Live events for many clients: one pub/sub connection a process, fanned out in memory.

A reader that falls behind, or a connection that was cut, costs nothing but a look into the log. And because events may
be lost for good, the rows of quiet runs are looked at every few seconds, in one query: a stream always ends.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import structlog
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared.database import Database, Row
from shared.events import log as event_log
from shared.events.types import DONE, Entry, EventId, frame
from shared.redis import connect
from shared.runs.status import RunStatus
from shared.wire.runs import run_object

if TYPE_CHECKING:
    import redis.asyncio

log = structlog.get_logger(__name__)

MAX_QUEUED = 256  # entries a slow reader may be behind before it is sent to the log
LOOK_EVERY_S = 2.0
KEEP_ALIVE_S = 15.0
RECONNECT_AFTER_S = 0.2
KEEP_ALIVE = b": keep-alive\n"  # no empty line: after an event with an id the official client would see another one

_ROWS = text("SELECT * FROM runs WHERE id = ANY(:ids)")
_MOVING = frozenset({RunStatus.QUEUED, RunStatus.IN_PROGRESS})


class Subscription:
    """One reader of one run. Made before the run is rung for, so that it can't miss an event."""

    def __init__(self, streams: "Streams", run_id: str) -> None:
        self.run_id = run_id
        self._streams = streams
        self._entries: deque[Entry] = deque()
        self._news = asyncio.Event()
        self.lagged = False
        self.stopped: Row | None = None
        self.gone = False
        self.seen_stopped = False
        self.last_news = time.monotonic()

    def offer(self, entry: Entry) -> None:
        """Hand over an entry; a reader that doesn't keep up is told to read the log instead."""
        if len(self._entries) >= MAX_QUEUED:
            self._entries.clear()
            self.lagged = True
        else:
            self._entries.append(entry)
        self.wake()

    def wake(self) -> None:
        """There is something to look at."""
        self.last_news = time.monotonic()
        self._news.set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for news; False if there were none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        if not self._news.is_set():
            return False
        self._news.clear()
        return True

    def take(self) -> list[Entry]:
        """What has been offered since the last time."""
        entries = list(self._entries)
        self._entries.clear()
        return entries

    def close(self) -> None:
        """Stop listening."""
        self._streams.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Streams:
    """All open subscriptions of this process."""

    def __init__(self, database: Database, redis: "redis.asyncio.Redis", redis_url: str) -> None:
        self._database = database
        self._redis = redis
        self._redis_url = redis_url
        self._readers: dict[str, set[Subscription]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen and to look after quiet streams."""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._watch())]

    async def stop(self) -> None:
        """Stop both."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def subscribe(self, run_id: str) -> Subscription:
        """Listen to a run from now on."""
        subscription = Subscription(self, run_id)
        self._readers.setdefault(run_id, set()).add(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription; twice is harmless."""
        readers = self._readers.get(subscription.run_id, set())
        readers.discard(subscription)
        if not readers:
            self._readers.pop(subscription.run_id, None)

    async def follow(self, subscription: Subscription, first: bytes, after: EventId) -> AsyncGenerator[bytes]:
        """Yield `first`, then every event after `after` until the stream ends [RUN-4] [RUN-7]."""
        with subscription:
            if first:
                yield first
            while True:
                if not await subscription.wait(KEEP_ALIVE_S):
                    yield KEEP_ALIVE
                    continue
                entries = subscription.take()
                if subscription.lagged or subscription.stopped is not None or subscription.gone:
                    subscription.lagged = False
                    entries = await self._read_log(subscription.run_id, after)
                for entry in entries:
                    if entry.last <= after:  # a repeat, or what a worker published after it lost its lease
                        continue
                    after = entry.last
                    yield entry.frames
                    if entry.ends:
                        return
                if subscription.stopped is not None or subscription.gone:
                    yield _ending(subscription.stopped, after)
                    return

    async def _read_log(self, run_id: str, after: EventId) -> list[Entry]:
        try:
            return await event_log.read(self._redis, run_id, after)
        except (RedisError, OSError) as error:
            log.warning("streams.log_unreadable", run_id=run_id, error=type(error).__name__)
            return []

    async def _listen(self) -> None:
        while True:
            try:
                await self._receive()
            except (RedisError, OSError) as error:
                log.warning("streams.disconnected", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _receive(self) -> None:
        """Hand published entries to their readers until the connection breaks."""
        client = connect(self._redis_url)
        try:
            async with client.pubsub(ignore_subscribe_messages=False) as channels:
                await channels.psubscribe(f"{event_log.CHANNELS}*")
                async for message in channels.listen():
                    if message["type"] == "psubscribe":  # also after each reconnection: something may have been missed
                        self._all_lagged()
                    elif message["type"] == "pmessage":
                        self._deliver(message)
        finally:
            await client.aclose()

    def _deliver(self, message: dict[str, Any]) -> None:
        run_id = message["channel"].decode().removeprefix(event_log.CHANNELS)
        readers = self._readers.get(run_id)
        if readers:
            entry = Entry.unpack(message["data"])
            for reader in readers:
                reader.offer(entry)

    def _all_lagged(self) -> None:
        for readers in self._readers.values():
            for reader in readers:
                reader.lagged = True
                reader.wake()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._look()
            except (SQLAlchemyError, OSError) as error:
                log.warning("streams.look_failed", error=type(error).__name__)

    async def _look(self) -> None:
        """Tell readers of runs that have stopped: at the second sight, the first may be ahead of the last events."""
        quiet_since = time.monotonic() - LOOK_EVERY_S
        quiet = [r for readers in self._readers.values() for r in readers if r.last_news < quiet_since]
        if not quiet:
            return
        rows = await self._database.all(_ROWS, {"ids": list({reader.run_id for reader in quiet})})
        found = {row["id"]: row for row in rows}
        for reader in quiet:
            row = found.get(reader.run_id)
            if row is not None and row["status"] in _MOVING:
                continue
            if not reader.seen_stopped:
                reader.seen_stopped = True
                continue
            reader.stopped, reader.gone = row, row is None
            reader.wake()


def _ending(row: Row | None, after: EventId) -> bytes:
    """The last events of a stream whose own were lost: told from the row, or from there being none."""
    term = after.term if row is None else max(row["term"], after.term)
    sequence = after.sequence if term == after.term else 0
    if row is None:
        problem = {"message": "The run was deleted.", "type": "invalid_request_error", "param": None, "code": None}
        event, data = "error", {"error": problem, **problem}
    else:
        event, data = f"thread.run.{row['status']}", run_object(row, row["dialect"])
    return frame(EventId(term, sequence + 1), event, data) + frame(EventId(term, sequence + 2), DONE, "[DONE]")
