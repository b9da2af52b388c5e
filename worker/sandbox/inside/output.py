"""Everything that is printed, in order: by Python through `sys.stdout`, by others through file descriptors 1 and 2."""

import codecs
import contextlib
import io
import os
import select
import threading
from collections.abc import Iterable
from typing import Any

from .channel import Channel, Interrupts

BLOCK = 8192  # characters that are sent at once
PAUSE_S = 0.05  # how long less than that may wait
MARK = "\n[The output is cut here: one call may print {} characters.]\n"


class Output:
    """Collects a call's text and sends it in blocks, up to `limit` characters a call; then it says that it stops."""

    def __init__(self, channel: Channel, interrupts: Interrupts, limit: int, renames: dict[str, str]) -> None:
        """`renames`: what is written for what, where paths inside differ from those that users know."""
        self._channel = channel
        self._interrupts = interrupts
        self._limit = limit
        self._renames = renames
        self._lock = threading.RLock()
        self._waiting = threading.Event()
        self._kind = "stdout"
        self._parts: list[str] = []
        self._length = 0
        self._left = limit
        self._forked = False
        self.truncated = False
        self._pipe, write = os.pipe()
        os.set_blocking(self._pipe, False)
        for descriptor in (1, 2):
            os.dup2(write, descriptor)
        os.close(write)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        os.register_at_fork(before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._fork)

    def _fork(self) -> None:
        self._lock = threading.RLock()
        self._forked = True

    def start(self) -> None:
        """Begin to send what waits, and what others write. The walls must stand: threads escape what comes later."""
        for work in (self._flush_for_ever, self._pump_for_ever):
            threading.Thread(target=work, daemon=True, name="output").start()

    def begin(self) -> None:
        """A call begins. What threads have said since the last one counts for this one."""
        with self._lock:
            self._left, self.truncated = self._limit, False

    def write(self, kind: str, text: str) -> None:
        """Take some text. Cheap where it is beyond the limit."""
        if self.truncated and not self._forked:
            return
        if self._forked:
            os.write(1 if kind == "stdout" else 2, text.encode("utf-8", "replace"))
            return
        with self._interrupts.deferred(), self._lock:
            self._drain()
            self._take(kind, text)

    def flush(self) -> None:
        """Send what there is."""
        if self._forked:
            return
        with self._interrupts.deferred(), self._lock:
            self._drain()
            self._send()

    def _take(self, kind: str, text: str) -> None:
        if kind != self._kind:
            self._send()
            self._kind = kind
        if len(text) > self._left:
            text = "" if self.truncated else text[: self._left] + MARK.format(self._limit)
            self._left, self.truncated = 0, True
        else:
            self._left -= len(text)
        self._parts.append(text)
        self._length += len(text)
        if self._length >= BLOCK:
            self._send()
        elif text:
            self._waiting.set()

    def _send(self) -> None:
        if not self._length:
            return
        text = "".join(self._parts)
        self._parts, self._length = [], 0
        for real, known in self._renames.items():
            text = text.replace(real, known)
        self._channel.send(self._kind, text=text.encode("utf-8", "replace").decode())

    def _drain(self) -> None:
        """What lies in the pipe was written before what comes now."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._pipe, 65536):
                self._take("stdout", self._decoder.decode(data))

    def _flush_for_ever(self) -> None:
        while True:
            self._waiting.wait()
            self._waiting.clear()
            threading.Event().wait(PAUSE_S)
            self.flush()

    def _pump_for_ever(self) -> None:
        while True:
            select.select([self._pipe], [], [])
            with self._lock:
                self._drain()


class Stream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr`."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, output: Output, kind: str) -> None:
        super().__init__()
        self._output = output
        self._kind = kind
        self.name = f"<{kind}>"
        self.buffer = io.FileIO(1 if kind == "stdout" else 2, "w", closefd=False)

    def write(self, text: str, /) -> int:  # noqa: D102 - of the base class
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users' code is not checked
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._output.write(self._kind, text)
        return len(text)

    def writelines(self, lines: Iterable[Any], /) -> None:  # noqa: D102
        for line in lines:
            self.write(line)

    def flush(self) -> None:  # noqa: D102
        self._output.flush()

    def writable(self) -> bool:  # noqa: D102
        return True

    def isatty(self) -> bool:  # noqa: D102
        return False

    def fileno(self) -> int:  # noqa: D102
        return self.buffer.fileno()

    def close(self) -> None:
        """Not for good: the next call prints again."""
        self.flush()
