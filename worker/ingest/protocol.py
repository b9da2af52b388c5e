"""What the worker and a child that reads a file tell each other: a job, then frames until the file is read."""

from dataclasses import dataclass
from struct import Struct
from typing import Any, Literal, TypedDict

LENGTH = Struct("!I")
"""Precedes each frame: how many bytes of JSON follow."""

LARGEST_FRAME = 16 << 20
"""Bytes; a child that announces more is out of its mind."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with the file whose descriptor comes along."""

    filename: str
    chunk_tokens: int
    overlap_tokens: int
    most_tokens: int
    memory: int  # bytes of address space
    seconds: int  # of processor time


class Progress(TypedDict):
    """More chunks, as rows of their table; pages are null in files that have none."""

    kind: Literal["progress"]
    chunks: list[dict[str, Any]]
    usage_bytes: int
    pages: int | None
    pages_read: int
    pages_unread: int  # pictures in which no text was found


class Done(TypedDict):
    """The last frame of a file that was read; `peak_bytes` is the most memory that it took."""

    kind: Literal["done"]
    format: str
    peak_bytes: int


class Failed(TypedDict):
    """The last frame of one that can't be; `error` is for the log."""

    kind: Literal["failed"]
    code: str
    message: str
    error: str | None


Frame = Progress | Done | Failed
