"""The process whose children read files: `python -m worker.ingest.forkserver`, its standard input a socket.

Each message on it is a job with three descriptors: the file, the socket on which the child tells what it reads, and one
on which we tell, at the end, how the child ended (its wait status, as text). When the other side of that last one is
closed, the child is killed: because its file is not wanted any more, or its worker is dead. When the standard input
ends, which a worker's death does too, so do we, and all children with us.

It is one thread that does nothing but fork and wait, so that what it forks is whole. What reading takes is loaded once,
before the first child that needs it, and shared by all.
"""

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass

from worker.ingest import child
from worker.ingest.formats.detect import suffix_of
from worker.ingest.protocol import Job
from worker.tokens import encoding

LARGEST_JOB = 16 << 10  # bytes
PLAIN = {"txt", "text", "json", "xml", "csv", "tsv", "py", "js", "ts", "c", "h", "cpp", "java", "go", "rs", "sh", ""}
"""Suffixes of files that are most probably read as they are; for others all readers are loaded."""

_READERS = tuple(f"worker.ingest.formats.{name}" for name in ("markup", "office", "mail", "pdf"))
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    control: socket.socket


class ForkServer:
    """Forks a child for each job and tells how it ended."""

    def __init__(self, jobs: socket.socket) -> None:
        self._jobs = jobs
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._libc = ctypes.CDLL(None)
        self._wakes, self._woken = socket.socketpair()

    def serve(self) -> None:
        """Until the standard input ends."""
        self._selector.register(self._jobs, selectors.EVENT_READ)
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._woken.setblocking(False)  # noqa: FBT003 # the standard library's
        signal.set_wakeup_fd(self._woken.fileno())
        signal.signal(signal.SIGCHLD, _noticed)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._jobs:
                    if not self._take():
                        self._kill_all()
                        return
                elif key.fileobj is self._wakes:
                    self._wakes.recv(4096)
                elif isinstance(key.data, _Child):  # nothing is ever sent there: it was closed
                    self._kill(key.data)
            self._reap()

    def _take(self) -> bool:
        """Begin the job that has come; False if none will come any more."""
        message, descriptors, _, _ = socket.recv_fds(self._jobs, LARGEST_JOB, 3)
        if not message:
            return False
        job = Job(**json.loads(message))
        file, results, control = descriptors
        encoding()
        if suffix_of(job.filename) not in PLAIN:
            for name in _READERS:
                importlib.import_module(name)
        gc.collect()
        gc.freeze()  # else each child would copy what it merely counts
        server, pid = os.getpid(), os.fork()
        if not pid:
            self._become_child(server, job, file, results, control)
        with suppress(OSError):  # the child does it as well: whoever is first
            os.setpgid(pid, pid)
        os.close(file)
        os.close(results)
        started = _Child(pid, socket.socket(fileno=control))
        self._children[pid] = started
        self._selector.register(started.control, selectors.EVENT_READ, started)
        return True

    def _become_child(self, server: int, job: Job, file: int, results: int, control: int) -> None:
        status = 70  # of a child that didn't get as far as telling anything
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if sys.platform == "linux":
                self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != server:  # it died before that
                    return
            os.close(control)
            self._jobs.close()
            self._selector.close()
            self._wakes.close()
            self._woken.close()
            for other in self._children.values():
                other.control.close()
            with os.fdopen(file, "rb") as opened, socket.socket(fileno=results) as told:
                child.run(job, opened, told)
            status = 0
        finally:
            os._exit(status)  # nothing of the server's is to be done by its child

    def _kill(self, one: _Child) -> None:
        with suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        self._selector.unregister(one.control)
        one.control.close()

    def _kill_all(self) -> None:
        for one in self._children.values():
            with suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            ended = self._children.pop(pid)
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # programs that it had started
            if ended.control.fileno() != -1:
                self._selector.unregister(ended.control)
                with suppress(OSError):
                    ended.control.sendall(str(os.waitstatus_to_exitcode(status)).encode())
                ended.control.close()


def _noticed(*_: object) -> None:
    """The signal has done its part by waking us."""


def main() -> None:
    """Serve the socket that is our standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the worker says when to stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ForkServer(socket.socket(fileno=os.dup(0))).serve()


if __name__ == "__main__":
    main()
