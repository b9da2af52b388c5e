"""What the embedded servers have in common: a directory, a port, a password, one process at a time."""

import abc
import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from infra.embedded import process
from infra.embedded.process import EmbeddedError
from infra.part import Part

START_TIMEOUT = timedelta(seconds=60)
PREDECESSOR_TIMEOUT = timedelta(seconds=30)  # a server whose supervisor was killed is still writing its last page


class Server(Part):
    """One server in `state`, on loopback, behind a password that stands in a file of mode 0600.

    `start` and `stop` wait; `spawn` and `ready` are the same in two steps, for a caller with more to do meanwhile.
    The port stays the same over restarts unless somebody else has taken it while the server was down.
    """

    grace = timedelta(seconds=30)
    keeps_data = True

    def __init__(self, state: Path, *, port: int | None = None, log: Path | None = None) -> None:
        """Choose port and password. Raises EmbeddedError if `state` can't be used or the wheel is not installed."""
        self.state = state.resolve()
        self.log = log or self.state / f"{self.name}.log"
        self.account = process.unprivileged()
        process.make_state(self.state, self.account)
        self.password = process.kept_secret(self.state / f"{self.name}.password")
        self.port = process.kept_port(self.state / f"{self.name}.port") if port is None else port

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where clients connect, password included."""

    @abc.abstractmethod
    def _prepare(self) -> None:
        """Create what the process needs on disk. Only called while no process uses the directory."""

    @abc.abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """The program and its arguments, nothing secret among them."""

    def _configuration(self) -> str:
        """What the program reads from its standard input."""
        return ""

    def spawn(self) -> None:
        """Start the process without waiting for it to answer.

        An earlier process of this directory that is still shutting down is waited for. Raises EmbeddedError if it
        does not end, and with the log's last lines if the directory can't be prepared.
        """
        lock = process.hold(self.state / f"{self.name}.lock", patience=PREDECESSOR_TIMEOUT)
        if lock is None:
            raise EmbeddedError(f"another {self.name} is still running in {self.state}: stop it first")
        try:
            self._prepare()
            self.process = process.spawn(
                self._command(),
                log=self.log,
                death=self.stop_signal,
                account=self.account,
                stdin=subprocess.PIPE,
                inherit=(lock,),
            )
        finally:
            os.close(lock)  # from here on only the server itself holds it
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:  # a dead child is noticed later
                stdin.write(self._configuration().encode())

    def start(self) -> None:
        """Start and wait until it answers. Raises EmbeddedError with the log's last lines if it doesn't."""
        self.spawn()
        deadline = time.monotonic() + START_TIMEOUT.total_seconds()
        while not self.ready():
            ended = self.process is None or self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                what = "ended while starting" if ended else "did not get ready"
                raise EmbeddedError(f"{self.name} {what}; {self.log} says:\n{process.last_lines(self.log)}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process in good order, by force after `grace`. Harmless if it isn't running."""
        if self.process is None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(self.grace.total_seconds())
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process as a crash would. The next `start` recovers."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
