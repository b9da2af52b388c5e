"""`assistantd doctor`: is everything there that a server needs?"""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

from typing import Annotated

import typer

from infra.cli.loading import loaded
from infra.cli.options import DataDir


def doctor(
    *,
    data_dir: DataDir = None,
    model: Annotated[str | None, typer.Option(help="Ask this model [an alias's, else the first listed].")] = None,
) -> None:
    """Look at database, Redis, clocks, files, model, embeddings and sandbox, as they are configured here.

    One line each: ok, warn or FAIL, and what to do. Ends with 1 where something fails. The model is asked for real.
    """
    import asyncio

    from infra.doctor.examine import examine
    from infra.doctor.finding import Level
    from infra.stack.configuration import settings_for

    settings = settings_for(data_dir)
    loaded(wait=False)

    async def look() -> bool:
        failed = False
        async for finding in examine(settings, model):
            print(finding, flush=True)
            failed = failed or finding.level is Level.FAIL
        return failed

    if asyncio.run(look()):
        raise typer.Exit(1)
