"""The system under test: real API and worker processes on real servers, with the scripted model behind them."""

import asyncio
import base64
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx2
import psycopg
from openai import AsyncOpenAI
from psycopg import sql

from shared.audit.actor import command_line
from shared.database import Database
from shared.migrations import upgrade
from shared.projects import keys
from shared.vault.contents import Contents
from shared.vault.masters import MasterKeys
from shared.vault.vault import Vault
from tests.conformance.schema.recorder import Recorder
from tests.ports import free_port

ENCRYPTION_KEY = base64.b64encode(b"tests' own master key, 32 bytes.").decode()
TEMPLATE = "migrated"  # what databases of tests are copied from: a tenth of the time that migrations take
READY_WITHIN = timedelta(seconds=30)
STOP_WITHIN = timedelta(seconds=20)


class NotReady(AssertionError):
    """A process ended, or said nothing, before it was ready; the message is the end of its log."""


@dataclass
class Process:
    """A process of the system, the file that it logs to, and where it says that it is ready."""

    popen: subprocess.Popen[bytes]
    log: Path
    notifications: socket.socket

    def wait_until_ready(self, within: timedelta = READY_WITHIN) -> None:
        """Return once the process has said READY=1. Raises NotReady if it ends instead, or says nothing."""
        deadline = time.monotonic() + within.total_seconds()
        with self.notifications:
            self.notifications.settimeout(0.2)
            while time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError):
                    if self.notifications.recv(64) == b"READY=1":
                        return
                if self.popen.poll() is not None:
                    raise NotReady(f"{self.log.name}: ended with {self.popen.returncode}:\n{self.tail()}")
        raise NotReady(f"{self.log.name}: not ready in time:\n{self.tail()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.notifications.close()
        self.popen.kill()
        self.popen.wait(STOP_WITHIN.total_seconds())

    def stop(self) -> int:
        """SIGTERM, and wait for the exit code; SIGKILL and a failure if it doesn't come."""
        self.notifications.close()
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
        try:
            return self.popen.wait(STOP_WITHIN.total_seconds())
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.log.name} did not end on SIGTERM:\n{self.tail()}") from None

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-4000:]


@dataclass
class System:
    """Processes with one configuration. Databases are named per system, so that systems don't see each other."""

    root: Path
    database_url: str
    redis_url: str
    model_url: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    base_url: str = ""
    processes: list[Process] = field(default_factory=list[Process])
    sealed: bool = True
    """Do its processes know a master key? Where tests look for words in what is stored, they must not."""

    def start(self) -> None:
        """Start an API process and a worker, and wait until both are ready."""
        for process in (self.spawn_api(), self.spawn_worker()):
            process.wait_until_ready()

    def spawn_api(self, **settings: str) -> Process:
        """Start an API process; `base_url` is its address."""
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self.spawn("api", "--port", str(port), **settings)

    def spawn_worker(self, **settings: str) -> Process:
        """Start a worker process."""
        return self.spawn("worker", "--name", f"worker-{len(self.processes)}", **settings)

    @asynccontextmanager
    async def database(self) -> AsyncGenerator[Database]:
        """Connections as its processes have them, with their master keys."""
        async with Database(self.database_url, pool_size=2) as database:
            if (masters := self.environment().get("ASSISTANTD_ENCRYPTION_KEYS")) is not None:
                database.contents = Contents(Vault(database, MasterKeys.parse(masters)))
            yield database

    async def key(self, project: str, scopes: Sequence[str] | None = None, expires_in: timedelta | None = None) -> str:
        """A new key to the project of that name."""
        async with self.database() as database:
            return await keys.create(database, command_line(), project, scopes=scopes, expires_in=expires_in)

    async def admin_key(self, scopes: Sequence[str] | None = None) -> str:
        """A new key to the administration."""
        async with self.database() as database:
            return (await keys.create_admin(database, database.contents, command_line(), "tests", scopes)).value

    def stop(self) -> None:
        """Stop whatever still runs."""
        for process in self.processes:
            process.stop()
        self.processes.clear()

    def stop_workers(self) -> None:
        """Stop the workers alone."""
        for process in self.processes:
            if process.log.name.startswith("worker"):
                process.stop()

    def query(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        """Look into the database from outside."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, params)  # pyright: ignore[reportArgumentType, reportCallIssue]
            return cursor.fetchall() if cursor.description else []

    def environment(self) -> dict[str, str]:
        """What its processes are told."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("ASSISTANTD_", "OPENAI_", "AWS_"))
        }
        return {
            **inherited,
            "ASSISTANTD_DATABASE_URL": self.database_url,
            "ASSISTANTD_REDIS_URL": self.redis_url,
            "ASSISTANTD_DATA_DIR": str(self.root / "data"),
            "ASSISTANTD_MODEL_BASE_URL": self.model_url,
            "ASSISTANTD_MODEL_API_KEY": "upstream-key",
            "ASSISTANTD_DRAIN_TIMEOUT": "5",
            **({"ASSISTANTD_ENCRYPTION_KEYS": ENCRYPTION_KEY} if self.sealed else {}),
            **self.settings,
        }

    def spawn(self, *arguments: str, **settings: str) -> Process:
        """Start a process of any other command."""
        more = {f"ASSISTANTD_{name.upper()}": value for name, value in settings.items()}
        label = f"{arguments[0]}-{len(self.processes)}"
        log, address = self.root / f"{label}.log", self.root / f"{label}.ready"
        notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notifications.bind(str(address))
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, "-m", "infra.cli", *arguments],
                env={**self.environment(), **more, "NOTIFY_SOCKET": str(address)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        process = Process(popen, log, notifications)
        self.processes.append(process)
        return process


@dataclass(frozen=True)
class Project:
    """A tenant, and the official client speaking for it, with no patience: tests want to see each error once.

    Every answer and event that the client gets is held against OpenAI's schema; `recorder` has what passed.
    """

    key: str
    base_url: str
    client: AsyncOpenAI
    recorder: Recorder

    @classmethod
    @asynccontextmanager
    async def of(cls, system: System) -> AsyncGenerator[Self]:
        """A new tenant of this system."""
        async with cls.known(system, await system.key(f"test-{uuid4().hex[:12]}")) as tenant:
            yield tenant

    @classmethod
    @asynccontextmanager
    async def known(cls, system: System, key: str) -> AsyncGenerator[Self]:
        """The tenant that this key belongs to. Raises AssertionError at its end if the contract was broken."""
        recorder = Recorder()
        http, base_url = httpx2.AsyncClient(transport=recorder), system.base_url
        async with AsyncOpenAI(
            base_url=base_url,
            api_key=key,
            max_retries=0,
            timeout=30,
            http_client=http,
            _strict_response_validation=True,
        ) as client:
            yield cls(key, base_url, client, recorder)
        recorder.check()


async def until(holds: Callable[[], bool], within: timedelta = timedelta(seconds=15)) -> None:
    """Return once something that nobody signals has come to hold. Raises TimeoutError."""
    async with asyncio.timeout(within.total_seconds()):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 # another process does it, and doesn't tell
            await asyncio.sleep(0.05)  # it happens in another process, which doesn't tell


_redis_databases = itertools.count(1)


def redis_apart(url: str) -> str:
    """The URL of a database on that Redis server that no other test uses; there are 127 of them (tests/conftest.py)."""
    return f"{url.rsplit('/', 1)[0]}/{next(_redis_databases)}"


def create_database(server_url: str, name: str) -> str:
    """Make a database of that name on the server, with our schema; returns its URL."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        there = connection.execute("SELECT FROM pg_database WHERE datname = %s", (TEMPLATE,)).fetchone()
        if there is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
            upgrade(_at(server_url, TEMPLATE))
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
        connection.execute(made)
    return _at(server_url, name)


def _at(server_url: str, name: str) -> str:
    return f"{server_url.rsplit('/', 1)[0]}/{name}"
