"""Event ids, frames, and the entries that frames travel in."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import orjson

from shared.wire.objects import Object

DONE = "done"


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

    def pack(self) -> bytes:
        """For publication: a line of facts, then the frames."""
        return f"{self.last} {int(self.ends)}\n".encode() + self.frames

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read what `pack` wrote. Raises ValueError."""
        head, _, frames = packed.partition(b"\n")
        last, ends = head.decode().split(" ")
        return cls(EventId.parse(last), ends == "1", frames)


def frame(event_id: EventId, event: str, data: Object | str) -> bytes:
    """One server-sent event."""
    payload = data.encode() if isinstance(data, str) else orjson.dumps(data)
    return f"id: {event_id}\nevent: {event}\ndata: ".encode() + payload + b"\n\n"
