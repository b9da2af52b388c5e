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

    @classmethod
    def unpack(cls, packed: bytes, run_id: str, key: Opened | None) -> Self:
        """Read what `pack` wrote, by the key that `sealed_by` names. Raises ValueError."""
        head, frames = _parted(packed)
        if key is not None:
            frames = key.open(frames[_KEY_ID.stop :], _purpose(run_id, head))
        last, ends = head.decode().split(" ")
        return cls(EventId.parse(last), ends == "1\n", frames)


def sealed_by(packed: bytes) -> UUID | None:
    """The data key that sealed what `pack` wrote. Raises ValueError."""
    _, frames = _parted(packed)
    return UUID(bytes=frames[_KEY_ID]) if frames.startswith(_SEALED) else None


def _parted(packed: bytes) -> tuple[bytes, bytes]:
    head, line, frames = packed.partition(b"\n")
    return head + line, frames


def _purpose(run_id: str, head: bytes) -> bytes:
    return f"events {run_id} ".encode() + head


def frame(event_id: EventId, event: str, data: Object | str) -> bytes:
    """One server-sent event."""
    payload = data.encode() if isinstance(data, str) else orjson.dumps(data)
    return f"id: {event_id}\nevent: {event}\ndata: ".encode() + payload + b"\n\n"
