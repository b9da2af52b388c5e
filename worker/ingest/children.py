"""Reading in child processes, seen from the worker: jobs in, frames out.

Celery's own answer to work like this is its prefork pool. A process a file keeps more promises: the kernel limits the
memory and the time of a file and not of a worker; a file that crashes its reader costs itself and nothing else; what
reads a stranger's bytes has no password in its environment or memory; and the loop that renews leases and tells
progress never waits for a parser. `--queues ingest` gives reading workers, and machines, of its own.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import BinaryIO, cast

import orjson
import structlog

from worker.ingest.document import Unreadable
from worker.ingest.protocol import LARGEST_FRAME, LENGTH, Frame, Job

log = structlog.get_logger(__name__)

KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "TESSDATA_PREFIX", "HOME")
"""What a reader gets of the environment: what programs need to be found and to run, nothing that opens doors."""

SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}
"""A file has one core; and what has threads can't be forked."""

END_WITHIN_S = 5


class ReaderLost(Exception):
    """The process that starts readers is gone, and with it the one that read this file."""


class Children:
    """Children of one fork server, which is started with the first file, and again if it has died."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._jobs: socket.socket | None = None

    @asynccontextmanager
    async def reading(self, job: Job, file: BinaryIO) -> AsyncGenerator[AsyncIterator[Frame]]:
        """What is read, while the block lasts; the reader is killed at its end.

        Frames raise Unreadable if the reader died over the file, ReaderLost if it died for no fault of the file's.
        """
        results, theirs = socket.socketpair()
        control, control_theirs = socket.socketpair()
        with control, control_theirs, theirs:
            control.setblocking(False)  # noqa: FBT003 # the standard library's
            reader, writer = await asyncio.open_connection(sock=results)
            try:
                await self._send(job, [file.fileno(), theirs.fileno(), control_theirs.fileno()])
                theirs.close()
                control_theirs.close()
                yield _frames(reader, control, job)
            finally:
                writer.close()

    async def _send(self, job: Job, descriptors: list[int]) -> None:
        message = json.dumps(asdict(job)).encode()
        for _ in range(2):
            try:
                socket.send_fds(self._running(), [message], descriptors)
            except OSError as error:
                log.warning("readers.server_lost", error=type(error).__name__)
                await self.close()
            else:
                return
        raise ReaderLost

    def _running(self) -> socket.socket:
        if self._jobs is None:
            ours, theirs = socket.socketpair()
            environment = {name: os.environ[name] for name in KEPT if name in os.environ}
            with theirs:
                self._server = subprocess.Popen(  # our own module
                    [sys.executable, "-m", "worker.ingest.forkserver"],
                    stdin=theirs.fileno(),
                    env=environment | SINGLE,
                )
            self._jobs = ours
        return self._jobs

    async def close(self) -> None:
        """End the server, and its children with it."""
        if self._jobs is not None:
            self._jobs.close()
            self._jobs = None
        if self._server is not None:
            server, self._server = self._server, None
            try:
                await asyncio.to_thread(server.wait, END_WITHIN_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


async def _frames(reader: asyncio.StreamReader, control: socket.socket, job: Job) -> AsyncIterator[Frame]:
    try:
        while True:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            if length > LARGEST_FRAME:
                raise Unreadable("server_error", "What was read of the file makes no sense.", "frame too large")
            frame = cast("Frame", orjson.loads(await reader.readexactly(length)))
            yield frame
            if frame["kind"] != "progress":
                return
    except (asyncio.IncompleteReadError, ConnectionResetError):
        ended = await asyncio.get_running_loop().sock_recv(control, 16)
        raise _death(int(ended) if ended else None, job) from None


def _death(status: int | None, job: Job) -> Exception:
    """Why a reader ended without saying so: by the wait status, negative for signals."""
    if status is None:
        return ReaderLost()
    if status == -signal.SIGXCPU:
        return took_too_long(job.seconds)
    if status == -signal.SIGKILL:
        message = "The reader of the file was killed, probably because the machine ran out of memory."
        return Unreadable("server_error", message, "killed")
    message = f"The file makes its reader crash, or needs more than the {job.memory >> 20} MiB of memory it may take."
    return Unreadable("invalid_file", message, f"ended with {status}")


def took_too_long(seconds: int) -> Unreadable:
    """What is said of a file that took more time than it may."""
    return Unreadable(
        "invalid_file", f"Reading the file takes longer than {seconds} seconds, which is as long as it may."
    )
