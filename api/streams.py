"""Live events for many clients: one pub/sub connection a process, fanned out in memory.

A reader that falls behind, or a connection that was cut, costs nothing but a look into the log. And because events may
be lost for good, the rows of quiet runs are looked at every few seconds, in one query: a stream always ends, and what
the log has lost is told from rows.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.reader import Reader
from shared.database import Database, Row
from shared.duties import must_not_end
from shared.events import log as event_log
from shared.events import replay
from shared.events.replay import Gone
from shared.events.types import EventId, Packed
from shared.metrics.http import CLIENTS
from shared.redis import AWAY, connect, published
from shared.runs.statements import BY_IDS
from shared.vault.contents import ContentLost, ContentUnavailable

if TYPE_CHECKING:
    import redis.asyncio

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 2.0
KEEP_ALIVE_S = 15.0
RECONNECT_AFTER_S = 0.2
KEEP_ALIVE = b": keep-alive\n"  # no empty line: after an event with an id the official client would see another one


class Streams:
    """All open streams of this process."""

    def __init__(self, database: Database, redis: "redis.asyncio.Redis", redis_url: str) -> None:
        self._database = database
        self._redis = redis
        self._redis_url = redis_url
        self._readers: dict[str, set[Reader]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen and to look after quiet streams."""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._watch())]
        for task in self._tasks:
            task.add_done_callback(must_not_end)

    async def stop(self) -> None:
        """Stop both."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def subscribe(self, run_id: str, after: EventId) -> Reader:
        """Listen to a run from now on, for what comes after `after`. Given back by `follow`."""
        reader = Reader(run_id, after)
        CLIENTS.inc()
        self._readers.setdefault(run_id, set()).add(reader)
        return reader

    async def follow(self, reader: Reader, first: bytes = b"") -> AsyncGenerator[bytes]:
        """Yield `first`, then every event until the stream ends: in order, without gap or repeat [RUN-4] [RUN-7]."""
        try:
            if first:
                yield first
            while not reader.done:
                if not await reader.news(KEEP_ALIVE_S):
                    yield KEEP_ALIVE
                    continue
                if reader.behind and not await self._catch_up(reader):
                    continue
                if frames := reader.take():
                    yield frames
                if not reader.done and not reader.behind and reader.told_to_stop:
                    if ending := await self._from_rows(reader):
                        yield ending
                        return
                    reader.fall_behind()
        finally:
            self._forget(reader)

    async def _from_rows(self, reader: Reader) -> bytes:
        """The end, as the rows tell it; nothing while they can't be read."""
        if isinstance(reader.row, Gone):
            return replay.gone(reader.row, reader.after)
        try:
            rows = self._database.within(reader.row["project_id"])
            return await replay.from_rows(rows, reader.row, reader.after, reader.finished)
        except ContentLost as error:
            log.error("streams.content_lost", run_id=reader.run_id, reason=str(error))  # noqa: TRY400 # the reason says it
            return replay.gone(Gone.LOST, reader.after)
        except (SQLAlchemyError, OSError, ContentUnavailable) as error:
            log.warning("streams.rows_unreadable", run_id=reader.run_id, error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)
            return b""

    async def _catch_up(self, reader: Reader) -> bool:
        """Read the log. If it can't be read it is tried again, until there is nothing more to wait for."""
        try:
            entries = await event_log.read(self._redis, self._database.contents, reader.run_id, reader.after)
        except (*AWAY, ValueError, SQLAlchemyError, ContentUnavailable) as error:
            log.warning("streams.log_unreadable", run_id=reader.run_id, error=type(error).__name__)
            if not reader.told_to_stop:
                away = not isinstance(error, ContentUnavailable)
                await asyncio.sleep(RECONNECT_AFTER_S if away else LOOK_EVERY_S)
                reader.try_again()
                return False
            entries = []
        reader.caught_up(entries)
        return True

    def _forget(self, reader: Reader) -> None:
        readers = self._readers.get(reader.run_id, set())
        if reader in readers:
            CLIENTS.dec()
        readers.discard(reader)
        if not readers:
            self._readers.pop(reader.run_id, None)

    async def _listen(self) -> None:
        while True:
            try:
                await self._receive()
            except AWAY as error:
                log.warning("streams.disconnected", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _receive(self) -> None:
        """Hand published entries to their readers until the connection breaks."""
        client = connect(self._redis_url)
        try:
            async with client.pubsub() as channels:
                await channels.psubscribe(f"{event_log.CHANNELS}*")
                async for message in published(channels):
                    if message["type"] == "psubscribe":  # also after each reconnection: something may have been missed
                        for reader in self._all():
                            reader.fall_behind()
                    elif message["type"] == "pmessage":
                        self._deliver(message)
        finally:
            await client.aclose()

    def _deliver(self, message: dict[str, Any]) -> None:
        run_id = message["channel"].decode().removeprefix(event_log.CHANNELS)
        readers = self._readers.get(run_id)
        if not readers:
            return
        try:
            packed = Packed.parse(message["data"])
            readers = [reader for reader in readers if reader.after < packed.last]
            if not readers:  # it is what their streams began with
                return
            key = None if packed.sealed_by is None else self._database.contents.at_hand(packed.sealed_by)
            entry = packed.open(run_id, key)
        except LookupError:  # its key has to be asked for: where the log is read
            for reader in readers:
                reader.fall_behind()
        except ValueError:  # of another version, or somebody else's: it is told from the log or from rows, or not
            log.warning("streams.unreadable", run_id=run_id)
        else:
            for reader in readers:
                reader.offer(entry)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._look()
            except (SQLAlchemyError, OSError) as error:
                log.warning("streams.look_failed", error=type(error).__name__)

    async def _look(self) -> None:
        """Tell quiet readers of runs that don't move any more."""
        quiet_since = time.monotonic() - LOOK_EVERY_S
        quiet = [reader for reader in self._all() if reader.last_news < quiet_since]
        if not quiet:
            return
        rows = await self._database.all(BY_IDS, {"ids": list({reader.run_id for reader in quiet})})
        told = {row["id"]: await self._told(row) for row in rows}
        for reader in quiet:
            if reader.told_to_stop:  # and nobody came: its response was never begun
                self._forget(reader)
                continue
            if (row := told.get(reader.run_id, Gone.DELETED)) is not None:
                reader.seen_still(row)

    async def _told(self, row: Row) -> Row | Gone | None:
        """What streams of the run are to be told, for now nothing if it goes on or can't be read."""
        if row["status"] not in replay.STILL:
            return None
        try:
            await self._database.contents.decode([row])
        except ContentLost as error:
            log.error("streams.content_lost", run_id=row["id"], reason=str(error))  # noqa: TRY400 # the reason says it
            return Gone.LOST
        except ContentUnavailable as error:
            log.warning("streams.row_unreadable", run_id=row["id"], reason=str(error))
            return None
        return row

    def _all(self) -> list[Reader]:
        return [reader for readers in self._readers.values() for reader in readers]
