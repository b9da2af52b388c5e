"""Events: numbered, merged, packed."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from shared.events.log import Keeping
from shared.events.types import Entry, EventId, Packed
from shared.events.writer import EventWriter
from shared.redis import Command
from shared.vault.opened import DamagedError, Opened

KEY = Opened(uuid4(), "proj_1", bytes(32))


class Box:
    """An outbox that keeps what it is given, and tells when something comes."""

    def __init__(self) -> None:
        self.sent: list[list[Command]] = []
        self.came = asyncio.Event()

    def send(self, commands: list[Command]) -> None:
        self.sent.append(commands)
        self.came.set()

    def entries(self) -> list[Entry]:
        published = (command[2] for commands in self.sent for command in commands if command[0] == "PUBLISH")
        return [Packed.parse(packed).open("run_1", KEY) for packed in published if isinstance(packed, bytes)]


def writer(box: Box) -> EventWriter:
    keep = Keeping(written=timedelta(minutes=20), ended=timedelta(minutes=1))
    return EventWriter(box, "run_1", 3, sealed_with=KEY, keep=keep)  # type: ignore[arg-type]


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


async def test_the_log_is_given_a_time_to_live_at_its_beginning_and_at_its_end() -> None:
    box = Box()
    events = writer(box)
    for name in ("a", "b"):
        events.put(name, {})
        events.flush()
    events.done()
    events.flush()

    sent = [(command[0], command[2]) for commands in box.sent for command in commands if command[0] != "PUBLISH"]
    assert [one if one[0] == "EXPIRE" else one[0] for one in sent] == [
        "XADD",
        ("EXPIRE", 1200),
        "XADD",
        "XADD",
        ("EXPIRE", 60),
    ]


async def test_who_was_frozen_begins_no_log_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have ended the run meanwhile, and its log is over."""
    box = Box()
    events = writer(box)
    now = 1000.0
    monkeypatch.setattr("shared.events.writer.time", SimpleNamespace(monotonic=lambda: now))
    for seconds in (0, 29, 2, 1, 300):
        now += seconds
        events.text("msg_1", "word ")
        events.flush()

    beside = [[command[0] for command in sent if command[0] not in ("XADD", "PUBLISH")] for sent in box.sent]
    assert beside == [["EXPIRE"], [], ["EVAL"], [], ["EVAL"]]


def test_entries_survive_packing() -> None:
    entry = Entry(EventId(2, 14), ends=True, frames=b"id: 2-14\nevent: done\ndata: [DONE]\n\n")

    assert Packed.parse(entry.pack("run_1", None)).open("run_1", None) == entry


def test_sealed_entries_are_opened_as_what_they_are() -> None:
    entry = Entry(EventId(2, 14), ends=True, frames=b"id: 2-14\nevent: done\ndata: [DONE]\n\n")
    packed = entry.pack("run_1", KEY)

    assert b"DONE" not in packed
    assert Packed.parse(packed).sealed_by == KEY.id
    assert Packed.parse(packed).open("run_1", KEY) == entry
    for other in (packed.replace(b"2-14 1", b"2-15 1"), packed.replace(b"2-14 1", b"2-14 0"), packed[:-1]):
        with pytest.raises(DamagedError):
            Packed.parse(other).open("run_1", KEY)
    with pytest.raises(DamagedError):
        Packed.parse(packed).open("run_2", KEY)


def test_ids_are_ordered_by_term_first() -> None:
    assert EventId.parse("2-1") > EventId.parse("1-900") > EventId.parse("1-2")
