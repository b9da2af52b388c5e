"""Event ids, frames, and the entries that frames travel in."""

from dataclasses import dataclass
from typing import NamedTuple, Self
from uuid import UUID

import orjson

from shared.vault.opened import Opened
from shared.wire.objects import Object

DONE = "done"
_ID = b"id: "
_STEP_ENDS = b"event: thread.run.step.completed\n"
_SEALED = b"\x8d"  # begins no frame
_KEY_ID = slice(1, 17)


class EventId(NamedTuple):
    """`term-sequence`: ordered over the whole run, because whoever takes a run over begins a higher term."""

    term: int
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote. Raises ValueError."""
        term, sequence = text.split("-")
        return cls(int(term), int(sequence))

    def __str__(self) -> str:
        return f"{self.term}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class Entry:
    """Some consecutive frames of one writer; `last` is the id of the last of them, `ends` whether that is `done`."""

    last: EventId
    ends: bool
    frames: bytes

    @property
    def first(self) -> EventId:
        """The id of the first frame."""
        return EventId.parse(self.frames[len(_ID) : self.frames.index(b"\n")].decode())

    def since(self, after: EventId) -> bytes:
        """The frames that come after an event, for a reader who has seen the others."""
        if self.first > after:
            return self.frames
        frames = (part + b"\n\n" for part in self.frames.split(b"\n\n") if part)
        return b"".join(one for one in frames if Entry(self.last, self.ends, one).first > after)

    def finished_steps(self) -> list[str]:
        """Ids of the steps whose end is told here."""
        if _STEP_ENDS not in self.frames:
            return []
        frames = self.frames.split(b"\n\n")
        return [orjson.loads(part.split(b"\ndata: ", 1)[1])["id"] for part in frames if _STEP_ENDS in part]

    def pack(self, run_id: str, key: Opened | None) -> bytes:
        """For publication: a line of facts, then the frames, sealed if there is a key."""
        head = f"{self.last} {int(self.ends)}\n".encode()
        if key is None:
            return head + self.frames
        return head + _SEALED + key.id.bytes + key.seal(self.frames, _purpose(run_id, head))


@dataclass(frozen=True, slots=True)
class Packed:
    """What `Entry.pack` wrote, of which the facts have been read; its frames were `sealed_by` the data key of that id,
    unless that is None.
    """

    last: EventId
    ends: bool
    sealed_by: UUID | None
    _head: bytes
    _rest: bytes

    @classmethod
    def parse(cls, packed: bytes) -> Self:
        """Raises ValueError."""
        begin = packed.index(b"\n") + 1
        head, rest = packed[:begin], packed[begin:]
        last, ends = head.decode().split(" ")
        sealed_by = UUID(bytes=rest[_KEY_ID]) if rest.startswith(_SEALED) else None
        return cls(EventId.parse(last), ends == "1\n", sealed_by, head, rest)

    def open(self, run_id: str, key: Opened | None) -> Entry:
        """The entry, by the key that sealed it, if one did. Raises ValueError."""
        frames = self._rest
        if key is not None:
            frames = key.open(frames[_KEY_ID.stop :], _purpose(run_id, self._head))
        return Entry(self.last, self.ends, frames)


def _purpose(run_id: str, head: bytes) -> bytes:
    return f"events {run_id} ".encode() + head


def frame(event_id: EventId, event: str, data: Object | str) -> bytes:
    """One server-sent event."""
    payload = data.encode() if isinstance(data, str) else orjson.dumps(data)
    return f"id: {event_id}\nevent: {event}\ndata: ".encode() + payload + b"\n\n"
