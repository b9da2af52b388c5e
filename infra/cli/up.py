"""`assistantd up`: the whole server on this machine."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import sys
import time
from typing import Annotated, Literal

import typer

from infra.cli.loading import loaded
from infra.cli.options import DataDir, Host

BEGAN = time.monotonic()


def up(
    *,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The API's port; 0 takes any that is free.")] = 8000,
    data_dir: DataDir = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Show workers and tasks in a browser.")] = True,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(help="How much the logs say [ASSISTANTD_LOG_LEVEL]."),
    ] = None,
) -> None:
    """Start everything on this machine: database, queue, API, workers, Flower, and a toy model if none is configured.

    Keeps running until Ctrl-C. Data stay in the data directory.
    """
    from infra.embedded.process import free_port
    from infra.stack import up as stack
    from infra.stack.configuration import data_directory
    from infra.stack.stack import Options

    options = Options(host=host, port=port or free_port(), workers=workers, flower=flower, log_level=log_level)
    loaded(wait=False)
    sys.exit(stack.run(data_directory(data_dir), options, began=BEGAN))
