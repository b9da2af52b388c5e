"""Postgres, Valkey, API processes, workers, and if wanted those that read files and a sandbox, each of which can be
ended and brought back while clients go on.

Everything is started by the event loop's thread, which must be the main one: servers die with the thread that forked
them. Nothing here blocks that loop for longer than a fork takes.
"""

import asyncio
import secrets
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.error import URLError

from infra.embedded.postgres import Postgres
from infra.embedded.server import Server
from infra.embedded.valkey import Valkey
from tests.metrics.scrape import value
from tests.ports import free_port
from tests.properties.promises import keep_history
from tests.sandbox.service import SandboxService
from tests.system import READY_WITHIN, Process, System, create_database

LEASE = timedelta(seconds=2)
DRAIN = timedelta(seconds=2)
EXPIRES_AFTER = timedelta(seconds=300)
MAX_ATTEMPTS = 20
POLL_S = 0.02
TOKENS = "assistantd_tokens_total"


class Fate(NamedTuple):
    """What happened to a worker."""

    pid: int
    what: Literal["killed", "frozen"]
    at: float


@dataclass
class Cluster(System):
    """Processes that keep their ports, or have one queue; workers that answer Prometheus."""

    metrics_ports: dict[str, int] = field(default_factory=dict[str, int])
    """Of workers, by name."""

    def spawn_api_on(self, port: int) -> Process:
        """Start an API process on this port."""
        return self.spawn("api", "--port", str(port))

    def spawn_worker_for(self, *queues: str) -> Process:
        """Start a worker that takes from these queues alone, if any are named. The model knows it by its key."""
        name = f"worker-{len(self.processes)}"
        some = ("--queues", ",".join(queues)) if queues else ()
        port = self.metrics_ports[name] = free_port()
        return self.spawn("worker", "--name", name, *some, model_api_key=name, metrics_port=str(port))


@dataclass
class Stack:
    """The system under test. Who is `leaving` was told to; `lost_at` is when a worker, by process id, was killed or
    frozen last; `fates` are all of these. If there are `services`, workers leave files to `ingests`, and `sandboxes` is
    one process of one of them.
    """

    postgres: Postgres
    valkey: Valkey
    system: Cluster
    ports: list[int]
    services: list[SandboxService] = field(default_factory=list[SandboxService])
    apis: list[Process] = field(default_factory=list[Process])
    workers: list[Process] = field(default_factory=list[Process])
    ingests: list[Process] = field(default_factory=list[Process])
    sandboxes: list[Process] = field(default_factory=list[Process])
    leaving: list[Process] = field(default_factory=list[Process])
    lost_at: dict[int, float] = field(default_factory=dict[int, float])
    fates: list[Fate] = field(default_factory=list[Fate])

    @property
    def base_urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}/v1" for port in self.ports]

    def start_api(self, place: int) -> None:
        """Start an API process on its port; clients try until it answers."""
        self.apis[place : place + 1] = [self.system.spawn_api_on(self.ports[place])]

    def start_worker(self, place: int) -> None:
        """Start a worker in this place."""
        queues = ("runs",) if self.services else ()
        self.workers[place : place + 1] = [self.system.spawn_worker_for(*queues)]

    def start_ingest(self, place: int) -> None:
        """Start a worker that reads files in this place."""
        self.ingests[place : place + 1] = [self.system.spawn_worker_for("ingest")]

    def start_sandbox(self, place: int) -> None:
        """Start the sandbox that doesn't run in this place."""
        self.sandboxes[place : place + 1] = [self.services[0].spawn()]
        self.services.reverse()

    def lose(self, worker: Process, what: Literal["killed", "frozen"]) -> None:
        """Note that from now on this worker does nothing."""
        self.lost_at[worker.popen.pid] = time.time()
        self.fates.append(Fate(worker.popen.pid, what, time.time()))

    @property
    def pids(self) -> dict[str, int]:
        """Of all workers that there ever were, by the names that the model knows them by."""
        return {one.log.stem: one.popen.pid for one in self.system.processes if one.log.stem.startswith("worker")}

    async def heard(self) -> dict[str, int]:
        """By the name of a worker that is there: how many tokens the prompts had whose answers it says to have heard to
        the end.
        """
        found: dict[str, int] = {}
        async with asyncio.timeout(READY_WITHIN.total_seconds()):
            for name in (one.log.stem for one in self.workers):
                while name not in found:
                    with suppress(URLError):  # it was started a moment ago
                        port = self.system.metrics_ports[name]
                        found[name] = int(await asyncio.to_thread(value, port, TOKENS, model="chaos", kind="prompt"))
                    await asyncio.sleep(POLL_S)
        return found

    async def send_workers_home(self) -> None:
        """Those that there are: what they have not written yet, they write before they go."""
        for worker in (*self.workers, *self.ingests):
            await asyncio.to_thread(worker.stop)


async def bring_down(server: Server, number: signal.Signals) -> None:
    """End a server by a signal, and wait until it is gone."""
    if server.process is None:
        return
    server.process.send_signal(number)
    while server.process.poll() is None:  # noqa: ASYNC110 # a child's end sets no event
        await asyncio.sleep(POLL_S)


async def bring_up(server: Server) -> None:
    """Start a server, and wait until it answers."""
    server.spawn()
    while not server.ready():  # noqa: ASYNC110 # nor does its readiness
        await asyncio.sleep(POLL_S)


async def gone(process: Process) -> None:
    """Wait until a process has ended."""
    while process.popen.poll() is None:  # noqa: ASYNC110 # likewise
        await asyncio.sleep(POLL_S)
    process.notifications.close()


@asynccontextmanager
async def running(root: Path, model_url: str, *, apis: int, workers: int, whole: bool) -> AsyncGenerator[Stack]:
    """All of it, ready. `root` must be a directory that servers without privileges can reach."""
    postgres, valkey = Postgres(root / "postgres"), Valkey(root / "valkey")
    postgres.start()
    valkey.start()
    url = create_database(postgres.url, "chaos")
    keep_history(url)
    settings = {
        "ASSISTANTD_LEASE_DURATION": str(LEASE.total_seconds()),
        "ASSISTANTD_DRAIN_TIMEOUT": str(DRAIN.total_seconds()),
        "ASSISTANTD_RUN_EXPIRES_AFTER": str(EXPIRES_AFTER.total_seconds()),
        "ASSISTANTD_RUN_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
        "ASSISTANTD_LOG_FORMAT": "json",
    }
    services = _sandboxes(root) if whole else []
    if services:
        urls = ",".join(service.url for service in services)
        settings |= {"ASSISTANTD_SANDBOX_SECRET": services[0].secret, "ASSISTANTD_SANDBOX_URL": urls}
        del settings["ASSISTANTD_LEASE_DURATION"]  # nobody is to lose a worker: it is as it is without a word
    ports = [free_port() for _ in range(apis)]
    stack = Stack(postgres, valkey, Cluster(root, url, valkey.url, model_url, settings), ports, services)
    try:
        for place in range(apis):
            stack.start_api(place)
        for place in range(workers):
            stack.start_worker(place)
        if whole:
            stack.start_ingest(0)
            stack.start_sandbox(0)
        for process in (*stack.system.processes, *stack.sandboxes):
            await asyncio.to_thread(process.wait_until_ready)
        yield stack
    finally:
        for process in (*stack.system.processes, *stack.sandboxes):
            process.popen.send_signal(signal.SIGCONT)
            process.kill()
        valkey.stop()
        postgres.stop()


def _sandboxes(root: Path) -> list[SandboxService]:
    """Two, not started, for one to take the other's place."""
    secret = secrets.token_hex(16)
    places = [root / "sandbox-1", root / "sandbox-2"]
    for place in places:
        place.mkdir(mode=0o711)
    return [SandboxService(place, secret=secret) for place in places]
