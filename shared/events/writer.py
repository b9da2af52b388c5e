"""Writing the events of one run in one term."""

import asyncio
import time
from datetime import timedelta

from shared.events import log
from shared.events.log import Keeping
from shared.events.types import DONE, Entry, EventId, frame
from shared.redis import Command, Sender
from shared.vault.opened import Opened
from shared.wire.objects import Object

FLUSH_AFTER = timedelta(milliseconds=50)
KEEP_AGAIN_AFTER_S = 30.0  # half of the least that a log stays


class EventWriter:
    """Numbers events, merges deltas of text, and sends what has gathered every `FLUSH_AFTER`.

    The first delta of a message leaves at once, so that the first word is not held back. A crash loses at most what has
    gathered since the last flush: never a fact, for facts are rows.
    """

    def __init__(
        self, outbox: Sender, run_id: str, term: int, *, sealed_with: Opened | None, keep: Keeping, after: int = 0
    ) -> None:
        self._outbox = outbox
        self._sealed_with = sealed_with
        self._run_id = run_id
        self._term = term
        self._sequence = after
        self._keep = keep
        self._begun = False
        self._kept_until = 0.0
        self._frames: list[bytes] = []
        self._ends = False
        self._message_id: str | None = None
        self._place = 0  # of its text among its parts
        self._text: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self.entry: Entry | None = None
        """What was taken last."""

    def put(self, event: str, data: Object | str) -> None:
        """Add one event."""
        self._merge_text()
        self._add(event, data)
        self._flush_soon()

    def done(self) -> None:
        """Add the end of the stream."""
        self._merge_text()
        self._add(DONE, "[DONE]")
        self._ends = True

    def text(self, message_id: str, text: str, place: int = 0) -> None:
        """Add words of a message, whose text is the part at `place`; they may be merged with those that follow."""
        first = message_id != self._message_id
        if first:
            self._merge_text()
            self._message_id, self._place = message_id, place
        self._text.append(text)
        if first:
            self.flush()
        else:
            self._flush_soon()

    def annotated(self, message_id: str, text: str, annotation: Object, place: int = 0) -> None:
        """Add words of a message that an annotation is about, with it."""
        self._merge_text()
        self._message_id, self._place = message_id, place
        self._add_text(message_id, {"value": text, "annotations": [annotation]})
        self._flush_soon()

    def flush(self) -> None:
        """Send what has gathered."""
        if commands := self.take():
            self._outbox.send(commands)

    def take(self) -> list[Command]:
        """What has gathered, as commands for the caller to send; empty if there is nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._merge_text()
        if not self._frames:
            return []
        entry = self.entry = Entry(EventId(self._term, self._sequence), self._ends, b"".join(self._frames))
        keep, anew = self._time_to_live()
        self._frames, self._begun = [], True
        return log.append(self._run_id, entry, self._sealed_with, keep=keep, anew=anew)

    def _time_to_live(self) -> tuple[timedelta | None, bool]:
        """With the first entry, and with the last. In between now and then, in case the log was lost, or is over:
        who was frozen, and has not heard that others took the run and ended it, must not begin one that stays for ever.
        """
        now = time.monotonic()
        if self._ends:
            return self._keep.ended, False
        if now < self._kept_until:
            return None, False
        self._kept_until = now + KEEP_AGAIN_AFTER_S
        return self._keep.written, self._begun

    def _add(self, event: str, data: Object | str) -> None:
        self._sequence += 1
        self._frames.append(frame(EventId(self._term, self._sequence), event, data))

    def _merge_text(self) -> None:
        if text := "".join(self._text):
            self._add_text(self._message_id, {"value": text})
        self._text = []

    def _add_text(self, message_id: str | None, text: Object) -> None:
        delta = {"content": [{"index": self._place, "type": "text", "text": text}]}
        self._add("thread.message.delta", {"id": message_id, "object": "thread.message.delta", "delta": delta})

    def _flush_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER.total_seconds(), self.flush)
