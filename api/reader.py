"""One reader of one run's events: what it has been told, what waits for it, and whether it has to catch up."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from shared.database import Row
from shared.events.replay import Gone
from shared.events.types import Entry, EventId

BEGINNING = EventId(0, 0)
CREATION = EventId(0, 1)
MAX_QUEUED = 256  # entries that a slow reader may be behind before it is sent to the log


class Reader:
    """Made before the run is rung for, so that it can't miss an event. `after` is the last event that it was told."""

    def __init__(self, run_id: str, after: EventId) -> None:
        self.run_id = run_id
        self.after = after
        self.done = False
        self.behind = False
        self.row: Row | Gone = Gone.DELETED
        self.finished: set[str] = set()
        self.told_to_stop = False
        self.last_news = time.monotonic()
        self._seen_still = False
        self._hole = False
        self._read = False
        self._entries: list[Entry] = []
        self._wake = asyncio.Event()

    def offer(self, entry: Entry) -> None:
        """Take an entry as it is published; beyond `MAX_QUEUED` the log has to be read instead."""
        self._seen_still = False
        if len(self._entries) >= MAX_QUEUED:
            self._entries.clear()
            self.behind = True
        else:
            self._entries.append(entry)
        self._notice()

    def fall_behind(self) -> None:
        """Something may have been missed: read the log."""
        self.behind = True
        self._notice()

    def try_again(self) -> None:
        """The log could not be read. That is no news: whether the run stands still is still to be looked at."""
        self._wake.set()

    def seen_still(self, row: Row | Gone) -> None:
        """The run stands still, as this row says, or is gone. Believed at the second sight: the first may be ahead of
        the last events, which are still on their way.
        """
        if self._seen_still:
            self.stop_with(row)
        self._seen_still = True

    def stop_with(self, row: Row | Gone) -> None:
        """Tell what there is to tell, from the log or else from rows, and end."""
        self.row, self.told_to_stop = row, True
        self.fall_behind()

    async def news(self, patience_s: float) -> bool:
        """Wait for something to look at; False if there was nothing for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._wake.wait()
        if not self._wake.is_set():
            return False
        self._wake.clear()
        return True

    def caught_up(self, entries: Sequence[Entry]) -> None:
        """What the log had after `after`; whatever was published meanwhile follows it."""
        self.behind = False
        self._read = True
        self._entries = [*entries, *self._entries]

    def take(self) -> bytes:
        """Frames to send now. Repeats are dropped, so is what a worker published after it lost its lease. Where events
        are missing the log is asked for them; if it hasn't got them either, nothing more is told but the rows, once the
        run stands still.
        """
        frames: list[bytes] = []
        entries, self._entries = self._entries, []
        for entry in entries:
            if entry.last <= self.after or self._hole:
                continue
            first = entry.first
            if first > self.after and not self._follows(first):
                self._miss(entry)
                continue
            if self.done:  # the run went on after it had waited for its client
                frames[-1] = frames[-1][: frames[-1].rindex(b"id: ")]
            frames.append(entry.since(self.after))
            self.after, self.done, self._read = entry.last, entry.ends, False
            self.finished.update(entry.finished_steps())
        return b"".join(frames)

    def _miss(self, entry: Entry) -> None:
        """There is a hole before this entry."""
        if self._read:
            self._hole = True
        else:
            self._entries.append(entry)
            self.fall_behind()

    def _follows(self, first: EventId) -> bool:
        """Within a term events are numbered from 1; a new term begins anew. The first of all is the creation's."""
        if self.after == BEGINNING:
            return first == CREATION
        expected = self.after.sequence + 1 if first.term == self.after.term else 1
        return first.sequence == expected

    def _notice(self) -> None:
        self.last_news = time.monotonic()
        self._wake.set()
