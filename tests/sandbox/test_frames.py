"""Frames from hostile hands."""

import asyncio
import json
import struct
from typing import Any

import pytest

from worker.sandbox import frames
from worker.sandbox.frames import Done, Event, ProtocolError

ONE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="


def parse(message: Any, call: int = 1) -> frames.Frame | None:
    return frames.parse(json.dumps(message).encode(), call)


def test_what_an_honest_runner_sends_is_understood() -> None:
    assert parse({"type": "stdout", "call": 1, "text": "hi"}) == Event({"type": "stdout", "text": "hi"}, 8)
    assert parse({"type": "done", "call": 1, "status": "ok", "truncated": False}) == Done("ok", truncated=False)
    assert isinstance(parse({"type": "display", "call": 1, "png": ONE}), Event)


def test_frames_of_earlier_calls_are_dropped() -> None:
    assert parse({"type": "done", "call": 1, "status": "ok", "truncated": False}, call=2) is None


def test_nul_does_not_get_through() -> None:
    event = parse({"type": "stdout", "call": 1, "text": "a\0b"})
    assert isinstance(event, Event)
    assert event.body["text"] == "a\ufffdb"


@pytest.mark.parametrize(
    "message",
    [
        [],
        "text",
        None,
        {"type": "stdout", "text": "of no call"},
        {"type": "stdout", "call": 1},
        {"type": "stdout", "call": 1, "text": 5},
        {"type": "stdin", "call": 1, "text": "x"},
        {"type": "done", "call": 1, "status": "splendid", "truncated": False},
        {"type": "done", "call": 1, "status": ["ok"], "truncated": False},
        {"type": "display", "call": 1, "png": "PHN2Zz4="},
        {"type": "display", "call": 1, "png": ONE + "<script>"},
        {"type": "display", "call": 1, "png": ONE[:-1]},
        {"type": "error", "call": 1, "name": "x", "message": "y"},
    ],
)
def test_anything_else_is_no_frame(message: Any) -> None:
    with pytest.raises(ProtocolError):
        parse(message)


@pytest.mark.parametrize(
    "body", [b"\x80\x04.", b"{", b"\xff", b'{"call": 1, "type": "stdout", "text": "\\ud800"}', b"[" * 100_000]
)
def test_what_is_not_json_is_no_frame(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.parse(body, 1)


@pytest.mark.parametrize("length", [0, 101, 0xFFFFFFFF])
async def test_lengths_are_bounded(length: int) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(struct.pack(">I", length))
    with pytest.raises(ProtocolError):
        await frames.read(reader, 100)
