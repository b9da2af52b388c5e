"""A part of the stack that is a program of ours: it waits for its turn, and says when it is ready."""

import contextlib
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from infra.embedded import process
from infra.embedded.process import Account
from infra.part import Part


class Program(Part):
    """A program that tells its readiness by systemd's protocol (READY=1 to NOTIFY_SOCKET).

    Loading its code is most of what a start takes, so it is started before what it needs: with `after` it finds an
    open pipe as standard input, loads, and goes on when the pipe is closed (`release`, which may say something
    first). It is killed when the supervisor ends without having stopped it; nothing that it holds is lost by that.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str],
        after: Sequence[str] = (),
        account: Account | None = None,
        grace: timedelta = timedelta(seconds=5),
        dispensable: bool = False,
    ) -> None:
        self.name = name
        self.command = command
        self.log = log
        self.environment = environment
        self.after = after
        self.account = account
        self.grace = grace
        self.dispensable = dispensable
        self._socket: socket.socket | None = None

    def spawn(self) -> None:
        """Start the process; where it has to wait for others, `release` lets it go on."""
        self._listen()
        self.process = process.spawn(
            self.command,
            log=self.log,
            death=signal.SIGKILL,
            account=self.account,
            environment={**self.environment, "NOTIFY_SOCKET": self._address},
            stdin=subprocess.PIPE if self.after else subprocess.DEVNULL,
            stdout=subprocess.PIPE if self.once else None,
        )

    def release(self, word: str) -> None:
        """Let a waiting process go on, with `word` on its standard input. Harmless if it is gone already."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:
                stdin.write(word.encode())

    def ready(self) -> bool:
        """Whether the process has said so."""
        if self._socket is None:
            return True
        try:
            if b"READY=1" not in self._socket.recv(4096).split(b"\n"):
                return False
        except BlockingIOError:
            return False
        self._close()
        return True

    def _listen(self) -> None:
        """A socket of our own for each start, so that a predecessor's word doesn't count."""
        name = f"assistantd-{secrets.token_hex(8)}"
        # Linux has names outside the file system ("@" in NOTIFY_SOCKET): nothing to clean up, no directory to reach.
        linux = sys.platform == "linux"
        self._address = f"@{name}" if linux else str(Path(tempfile.gettempdir()) / name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name}" if linux else self._address)
        self._socket.settimeout(0)

    def close(self) -> None:
        """Let go of a process that has ended, and of the socket on which it may never have spoken."""
        super().close()
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            if not self._address.startswith("@"):
                Path(self._address).unlink(missing_ok=True)


class Task(Program):
    """A program that has done its work when it has ended with 0. What it prints is not logged but kept in `output`."""

    once = True
    output = ""

    def ready(self) -> bool:
        """Whether it has ended well."""
        if self.process is None or self.process.poll() != 0:
            return False
        if self.process.stdout is not None and not self.process.stdout.closed:
            with self.process.stdout as stdout:
                self.output = stdout.read().decode()
        return True
