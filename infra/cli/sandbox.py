"""`assistantd sandbox`: the code interpreter's service, and the environment that it runs code in."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.loading import loaded
from infra.cli.options import DataDir, Host

Place = Annotated[Path | None, typer.Option(help="Where it is [beside its lock].", show_default=False)]


def sandbox(
    *,
    data_dir: DataDir = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8100,
) -> None:
    """Run Python for the code interpreter, isolated. Needs ASSISTANTD_SANDBOX_SECRET and its environment.

    Refuses to start below the isolation level ASSISTANTD_SANDBOX_MINIMUM, and beside credentials.
    """
    from infra.environment import place
    from infra.stack.configuration import data_directory
    from shared.logs import configure_logging
    from shared.metrics.listener import listen
    from worker.sandbox.serve import run
    from worker.sandbox.settings import load

    settings = load({"environment": place(), "state": data_directory(data_dir).root / "sandbox"})
    configure_logging(settings)
    listen(settings)
    loaded(wait=False)
    run(settings, host, port)


def sandbox_environment(environment: Place = None) -> None:
    """Make the environment that the code interpreter runs code in: 600 MB, some seconds, and a network."""
    from infra.environment import MakeError, make, place

    root = environment or place()
    try:
        make(root.resolve())
    except MakeError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"the sandbox environment is in {root}")
