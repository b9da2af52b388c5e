"""Frames on the socketpair between the service and one interpreter: four bytes of length, then a JSON object.

What arrives here was written by hostile code. A frame that is too long, isn't a JSON object or lacks what its type
promises is `ProtocolError`, which ends the session: no honest runner sends one.
"""

import asyncio
import struct
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from worker.sandbox.limits import Limits

LENGTH = struct.Struct(">I")
TEXT_BESIDES = 512 * 1024  # characters: an error's traceback, remarks
TURN = 64  # frames
PNG = "iVBORw0KGgo"  # how a PNG begins, in base64

Status = Literal["ok", "error", "interrupted"]
STATUSES = frozenset({"ok", "error", "interrupted"})
TEXTS = frozenset({"stdout", "stderr", "result"})


class ProtocolError(Exception):
    """The other side doesn't speak the protocol."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The interpreter has loaded its packages."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the call's client gets to see; `body` is what it sees."""

    body: dict[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Done:
    """The call has ended."""

    status: Status
    truncated: bool


Frame = Ready | Event | Done


class Budget:
    """What may come in one call. An honest runner stays below; beyond, `ProtocolError`."""

    def __init__(self, limits: Limits) -> None:
        self._bytes = limits.inflow
        self._text = limits.output + TEXT_BESIDES
        self._images = limits.images
        self._frames = 0

    def take(self, size: int) -> bool:
        """One more frame; whether others should get a turn now."""
        self._bytes -= size
        self._frames += 1
        if self._bytes < 0:
            raise ProtocolError("more than a call may send")
        return self._frames % TURN == 0

    def show(self, event: Event) -> None:
        """One more event."""
        self._text -= event.size
        self._images -= event.body["type"] == "display"
        if self._text < 0 or self._images < 0:
            raise ProtocolError("more than a call may show")


def pack(message: dict[str, Any]) -> bytes:
    """A message as it goes on the wire."""
    body = orjson.dumps(message)
    return LENGTH.pack(len(body)) + body


async def read(reader: asyncio.StreamReader, longest: int) -> bytes:
    """The next frame's body. Raises ProtocolError; IncompleteReadError or OSError where the other side is gone."""
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if not 0 < length <= longest:
        raise ProtocolError(f"a frame of {length} bytes")
    return await reader.readexactly(length)


def expect_ready(body: bytes) -> None:
    """The first frame of all. Raises ProtocolError where it is another one."""
    if parse(body, 0) != Ready():
        raise ProtocolError("it did not begin with being ready")


def parse(body: bytes, call: int) -> Frame | None:
    """What a frame says, or None where it belongs to an earlier call. Raises ProtocolError."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProtocolError("a frame that is not JSON") from error
    if not isinstance(message, dict):
        raise ProtocolError("a frame that is not an object")
    fields = cast("dict[str, Any]", message)
    if fields.get("type") == "ready":
        return Ready()
    if not isinstance(fields.get("call"), int):
        raise ProtocolError("a frame of no call")
    return _of_call(fields) if fields["call"] == call else None


def _of_call(fields: dict[str, Any]) -> Frame:
    match fields:
        case {"type": str(kind), "text": str(text)} if kind in TEXTS:
            return _event(type=kind, text=_clean(text))
        case {"type": "display", "png": str(png)} if png.startswith(PNG) and _is_base64(png):
            return Event({"type": "display", "mime": "image/png", "data": png}, 0)
        case {"type": "error", "name": str(name), "message": str(message), "traceback": str(traceback)}:
            return _event(type="error", name=_clean(name), message=_clean(message), traceback=_clean(traceback))
        case {"type": "done", "status": str(status), "truncated": bool(truncated)} if status in STATUSES:
            return Done(cast("Status", status), truncated)
        case _:
            raise ProtocolError("a frame of no known shape")


def _event(**body: str) -> Event:
    return Event(dict(body), sum(map(len, body.values())))


def _clean(text: str) -> str:
    """Without NUL, which Postgres can't store."""
    return text.replace("\0", "\ufffd")


def _is_base64(text: str) -> bool:
    """Of the plain alphabet, unbroken: whoever decodes it later meets no surprise."""
    return len(text) % 4 == 0 and not text.rstrip("=").translate(_BASE64)


_BASE64 = {ord(letter): None for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"}
