"""Events: numbered, merged, packed."""

import asyncio
from datetime import timedelta

from shared.events.types import Entry, EventId
from shared.events.writer import EventWriter
from shared.redis import Command


class Box:
    """An outbox that keeps what it is given, and tells when something comes."""

    def __init__(self) -> None:
        self.sent: list[list[Command]] = []
        self.came = asyncio.Event()

    def send(self, commands: list[Command]) -> None:
        self.sent.append(commands)
        self.came.set()

    def entries(self) -> list[Entry]:
        return [Entry.unpack(c[2]) for commands in self.sent for c in commands if c[0] == "PUBLISH"]  # type: ignore[arg-type]


def writer(box: Box) -> EventWriter:
    return EventWriter(box, "run_1", 3, keep=timedelta(minutes=1))  # type: ignore[arg-type]


async def test_the_first_word_leaves_at_once_and_the_rest_together() -> None:
    box = Box()
    events = writer(box)

    for word in ("One ", "two ", "three"):
        events.text("msg_1", word)
    assert len(box.sent) == 1
    box.came.clear()
    await box.came.wait()

    first, rest = box.entries()
    assert b'"value":"One "' in first.frames
    assert b'"value":"two three"' in rest.frames
    assert (first.last, rest.last) == (EventId(3, 1), EventId(3, 2))


async def test_an_event_never_overtakes_the_words_before_it() -> None:
    box = Box()
    events = writer(box)
    events.text("msg_1", "One ")
    events.text("msg_1", "two")
    events.put("thread.message.completed", {})
    events.done()
    events.flush()

    frames = b"".join(entry.frames for entry in box.entries())

    assert frames.index(b"two") < frames.index(b"thread.message.completed") < frames.index(b"[DONE]")
    assert [line for line in frames.split(b"\n") if line.startswith(b"id: ")] == [
        b"id: 3-1",
        b"id: 3-2",
        b"id: 3-3",
        b"id: 3-4",
    ]
    assert box.entries()[-1].ends


async def test_the_log_is_given_a_time_to_live_once() -> None:
    box = Box()
    events = writer(box)
    events.put("a", {})
    events.flush()
    events.put("b", {})
    events.flush()

    assert [c[0] for commands in box.sent for c in commands] == ["XADD", "PUBLISH", "EXPIRE", "XADD", "PUBLISH"]


def test_entries_survive_packing() -> None:
    entry = Entry(EventId(2, 14), ends=True, frames=b"id: 2-14\nevent: done\ndata: [DONE]\n\n")

    assert Entry.unpack(entry.pack()) == entry


def test_ids_are_ordered_by_term_first() -> None:
    assert EventId.parse("2-1") > EventId.parse("1-900") > EventId.parse("1-2")
