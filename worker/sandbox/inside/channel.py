"""The way out: frames on an inherited socket. Whoever runs code here can write to it as well; outside that is known."""

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Generator
from typing import Any

LENGTH = struct.Struct(">I")


class Interrupts:
    """SIGINT as KeyboardInterrupt, but only in a call's code: never in the middle of a frame, never between calls."""

    def __init__(self) -> None:
        self.armed = False
        self._depth = 0
        self._pending = False

    def handle(self, *_: object) -> None:
        """The signal handler."""
        if not self.armed:
            return
        if self._depth:
            self._pending = True
        else:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def deferred(self) -> Generator[None]:
        """Within it the main thread is not interrupted; what came meanwhile is raised at its end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._pending and not self._depth:
            self._pending = False
            if self.armed:
                raise KeyboardInterrupt

    def disarm(self) -> None:
        """The call is over; an interrupt that comes late means nothing."""
        self.armed = self._pending = False


class Channel:
    """One end of the socketpair."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._lock = threading.Lock()
        self.call = 0
        os.register_at_fork(after_in_child=self._leave)

    def _leave(self) -> None:
        """A forked child has no business here: its output goes through the file descriptors 1 and 2."""
        self._socket.close()

    def send(self, kind: str, **fields: Any) -> None:
        """Send one frame; the caller keeps interrupts away."""
        body = json.dumps({"type": kind, "call": self.call, **fields}).encode()
        with self._lock:
            self._socket.sendall(LENGTH.pack(len(body)) + body)

    def receive(self) -> dict[str, Any]:
        """The next request. Raises EOFError when the service is gone."""
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return json.loads(self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            part = self._socket.recv(min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
