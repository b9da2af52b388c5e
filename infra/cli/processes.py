"""Commands that are one process of the stack each, on any machine."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import sys
from typing import Annotated

import typer

from infra.cli.loading import loaded
from infra.cli.options import DataDir, Host, Wait

IDLE_S = 75  # of a connection: longer than proxies keep theirs (60 s), so that none is used as it is being closed


def api(
    *,
    data_dir: DataDir = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000,
    wait: Wait = False,
) -> None:
    """Serve the API. Needs Postgres and Redis; SIGTERM lets open requests end within DRAIN_TIMEOUT."""
    import uvicorn

    from api.app import create_app
    from infra.serving import factory_of
    from infra.stack.configuration import settings_for
    from shared.metrics.listener import listen
    from shared.redis import refuse_cluster
    from shared.tracing.begin import begin

    settings = settings_for(data_dir)
    listen(settings)
    begin("api")
    config = uvicorn.Config(
        create_app(settings),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_context_factory=factory_of(settings),
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=round(settings.drain_timeout.total_seconds()),
    )
    loaded(wait=wait)
    refuse_cluster(settings.redis_url)
    # Bound and listening before the application starts: when it says that it is ready, nobody is refused any more.
    listener = config.bind_socket()
    listener.listen(config.backlog)
    uvicorn.Server(config).run(sockets=[listener])


def worker(
    *,
    data_dir: DataDir = None,
    queues: Annotated[str, typer.Option(help="Which queues to take from, separated by commas.")] = "runs,ingest",
    concurrency: Annotated[int | None, typer.Option(min=1, help="Runs held at once [WORKER_CONCURRENCY].")] = None,
    name: Annotated[str, typer.Option(help="What Flower and the logs call this worker.")] = "worker",
    wait: Wait = False,
) -> None:
    """Execute runs, and read the files of vector stores. Needs Postgres, Redis and a model.

    SIGTERM drains, a second one ends at once.
    """
    from infra.stack.configuration import settings_for
    from shared.metrics.listener import listen
    from shared.redis import refuse_cluster
    from shared.tracing.begin import begin
    from worker.app import main

    settings = settings_for(data_dir)
    listen(settings)
    begin("worker")
    loaded(wait=wait)
    refuse_cluster(settings.redis_url)
    main(settings, queues=queues.split(","), concurrency=concurrency, name=name)


def flower(
    *,
    data_dir: DataDir = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 5555,
    wait: Wait = False,
) -> None:
    """Show workers and tasks in a browser. Needs Redis; FLOWER_BASIC_AUTH=user:password protects it."""
    from functools import partial

    from infra import monitor
    from infra.stack.configuration import settings_for
    from shared.readiness import notify_ready
    from shared.redis import refuse_cluster

    settings = settings_for(data_dir, without_database=True)
    serve = monitor.prepare(settings, host, port)
    loaded(wait=wait)
    refuse_cluster(settings.redis_url)
    serve(partial(notify_ready, settings))


def local_model(port: Annotated[int, typer.Option(help="The port to listen on, on loopback.")]) -> None:
    """Serve the toy model; ASSISTANTD_MODEL_API_KEY is the key that it asks for."""
    import asyncio
    import signal

    from infra.embedded.model import ToyModel, serve
    from infra.stack.configuration import settings_for
    from shared.readiness import notify_ready
    from shared.settings import SettingsError

    settings = settings_for(None, without_database=True, without_redis=True)
    if settings.model_api_key is None:
        raise SettingsError("ASSISTANTD_MODEL_API_KEY is not set (the key that clients of the toy model must send)")
    loaded(wait=False)
    model = ToyModel(settings.model_api_key.get_secret_value())

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(model, port, lambda: notify_ready(settings), stop)

    asyncio.run(run())


def embedder(
    *,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8200,
) -> None:
    """Serve an embedding model (all-MiniLM-L6-v2) at /v1/embeddings, without a network.

    ASSISTANTD_EMBEDDING_API_KEY is the key that it asks for.
    """
    from functools import partial

    from infra.serving import context_of
    from infra.stack.configuration import settings_for
    from shared.logs import configure_logging
    from shared.metrics.listener import listen
    from shared.readiness import notify_ready
    from shared.settings import SettingsError
    from worker.embedder.facts import is_installed

    settings = settings_for(None, without_database=True, without_redis=True)
    configure_logging(settings)
    if settings.embedding_api_key is None:
        raise SettingsError("ASSISTANTD_EMBEDDING_API_KEY is not set (the key that clients of the embedder must send)")
    if not is_installed():
        raise SettingsError("the embedding model is not installed here (uv sync --group embedder)")
    from worker.embedder.model import Model
    from worker.embedder.serve import run

    listen(settings)
    loaded(wait=False)
    key, secure = settings.embedding_api_key.get_secret_value(), context_of(settings)
    run(Model(), key, host, port, partial(notify_ready, settings), secure)


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the newest schema. Needs Postgres; harmless when there is nothing to do."""
    from infra.stack.configuration import settings_for
    from shared.migrations import upgrade

    url = settings_for(data_dir, without_redis=True).database_url
    loaded(wait=False)
    upgrade(url)


def prepare(*, project: str = "default", wait: Wait = False) -> None:
    """Migrate, then print a key to the project: the one on standard input if it still opens something, else a new one.

    What `up` runs first. The key never stands in an argument list, a log or the environment.
    """
    import asyncio

    from infra.stack.configuration import settings_for
    from shared.audit.actor import command_line
    from shared.migrations import upgrade
    from shared.projects import keys
    from shared.projects.hashes import digest
    from shared.vault.contents import ContentUnavailable
    from shared.vault.databases import database_of

    settings = settings_for(None, without_redis=True)
    known = loaded(wait=wait).strip()
    upgrade(settings.database_url)

    async def key() -> str:
        async with database_of(settings, pool_size=1) as db:
            former = await keys.recognise(db, digest(known)) if known else None
            if former is not None and not former.archived:
                return known
            return await keys.create(db, command_line(), project)

    try:
        print(asyncio.run(key()))
    except ContentUnavailable as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
