"""The rig: servers of the benchmark's own, the fake upstream, and one system at a time to measure."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import psycopg
import redis

from infra.embedded.postgres import Postgres
from infra.embedded.valkey import Valkey
from tests.benchmarks import load, processes
from tests.benchmarks.figures import Sizes
from tests.benchmarks.http1 import Connection
from tests.benchmarks.load import Plan
from tests.ports import free_port
from tests.system import Process, System, create_database

OBSERVED = {"shared_preload_libraries": "pg_stat_statements", "track_wal_io_timing": "on"}
WARM_UP = 150  # runs: pools filled, statements prepared, code paths taken
PATIENCE = timedelta(seconds=60)


class Upstream:
    """The fake upstream's process, and what it answers to questions."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.upstream", str(self.port)], stdout=output, stderr=output
            )

    def held(self) -> int:
        """How many requests it is answering."""
        return ask(self.port, "GET", "/held")

    def answers(self) -> list[tuple[float, float, float]]:
        """When each request since the last call came in, and its first and its last token left."""
        return ask(self.port, "GET", "/answers")

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


@dataclass
class Subject:
    """A system under measurement, with a key and an assistant of one project."""

    system: System
    upstream: Upstream
    key: str
    assistant_id: str
    pids: Mapping[str, int]

    @property
    def worker(self) -> Process:
        """The first worker."""
        return next(process for process in self.system.processes if process.log.name.startswith("worker"))

    def plan(self, call: str, calls: int, **options: Any) -> Plan:
        """A plan that calls this system."""
        port = int(self.system.base_url.split(":")[2].split("/")[0])
        return Plan(call, calls, port, self.key, self.assistant_id, **options)

    def cpu_s(self) -> dict[str, float]:
        """CPU time so far of each group of processes."""
        return {name: processes.cpu_s(pid) for name, pid in self.pids.items()}


@dataclass
class Bench:
    """Everything that a measurement may use. A context manager: leaving it stops what runs."""

    sizes: Sizes
    room: Path
    postgres: Postgres = field(init=False)
    valkey: Valkey = field(init=False)
    upstream: Upstream = field(init=False)
    _stack: ExitStack = field(init=False, default_factory=ExitStack)
    _subject: tuple[dict[str, str], Subject] | None = field(init=False, default=None)
    _made: int = field(init=False, default=0)

    def __enter__(self) -> Self:
        self.postgres = Postgres(self.room / "postgres", settings=OBSERVED)
        self.valkey = Valkey(self.room / "valkey")
        for server in (self.postgres, self.valkey):
            server.start()
            self._stack.callback(server.stop)
        self.upstream = Upstream(self.room / "upstream.log")
        self._stack.callback(self.upstream.stop)
        self._stack.callback(self.discard)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def subject(self, **settings: str) -> Subject:
        """The running system if it has these settings, else a new one in its place, warmed up. It seals content."""
        if self._subject is None or self._subject[0] != settings:
            self.discard()
            self._subject = settings, self._start(settings)
        return self._subject[1]

    @contextmanager
    def beside(self, *, sealed: bool) -> Generator[Subject]:
        """A system beside others, with a part of Redis of its own, until the end of the block."""
        self.discard()
        subject = self._start({}, sealed=sealed, redis_url=f"{self.valkey.url.rsplit('/', 1)[0]}/{self._made + 1}")
        try:
            yield subject
        finally:
            _kill(subject)

    def discard(self) -> None:
        """Kill the running system: nothing that is measured afterwards depends on it."""
        if self._subject is not None:
            _kill(self._subject[1])
            self._subject = None

    def redis(self) -> "redis.Redis":
        """A connection to look through."""
        return redis.Redis.from_url(self.valkey.url, protocol=2)

    def _start(self, settings: dict[str, str], *, sealed: bool = True, redis_url: str | None = None) -> Subject:
        self._made += 1
        name = f"bench{self._made}"
        root = self.room / name
        root.mkdir()
        if redis_url is None:
            self.redis().flushall()
        variables = {f"ASSISTANTD_{name.upper()}": value for name, value in settings.items()}
        url = create_database(self.postgres.url, name)
        system = System(root, url, redis_url or self.valkey.url, self.upstream.url, variables, sealed=sealed)
        with psycopg.connect(system.database_url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        system.start()
        key = asyncio.run(system.key("bench"))
        port = int(system.base_url.split(":")[2].split("/")[0])
        assistant = {"model": "over-0", "instructions": "Be kind and brief."}
        assistant_id = ask(port, "POST", "/v1/assistants", assistant, key)["id"]
        api, worker = (process.popen.pid for process in system.processes)
        servers = {"postgres": _pid(self.postgres.process), "redis": _pid(self.valkey.process)}
        pids = {"api": api, "worker": worker, **servers, "upstream": self.upstream.process.pid}
        subject = Subject(system, self.upstream, key, assistant_id, pids)
        load.run(subject.plan("streamed", min(WARM_UP, self.sizes.flood), clients=10))
        self.upstream.answers()
        return subject


def _kill(subject: Subject) -> None:
    for process in subject.system.processes:
        process.kill()


def ask(port: int, method: str, path: str, body: object = None, key: str = "none") -> Any:
    """One request on a connection of its own."""

    async def once() -> Any:
        connection = Connection(port, key)
        answer = await connection.json(method, path, body)
        connection.close()
        return answer

    return asyncio.run(once())


def wait_until(condition: Callable[[], bool], patience: timedelta = PATIENCE) -> bool:
    """Look every 20 ms; False if it doesn't come about in time."""
    deadline = time.monotonic() + patience.total_seconds()
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _pid(process: "subprocess.Popen[bytes] | None") -> int:
    if process is None:
        raise RuntimeError("the server does not run")
    return process.pid
