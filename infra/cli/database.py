"""What commands do that need the database and nothing else."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import asyncio
import sys
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from shared.database import Database

T = TypeVar("T")


def with_database(data_dir: "Path | None", work: "Callable[[Database], Awaitable[T]]") -> T:
    """Do something with the configured or the running stack's database; a refusal is one line, and status 1."""
    from sqlalchemy.exc import DBAPIError

    from infra.stack.configuration import settings_for
    from shared.errors import AssistantdError
    from shared.vault.contents import ContentUnavailable
    from shared.vault.databases import database_of

    settings = settings_for(data_dir, without_redis=True)

    async def run() -> T:
        async with database_of(settings, pool_size=2) as db:
            return await work(db)

    try:
        return asyncio.run(run())
    except AssistantdError as error:
        print(error.message, file=sys.stderr)
    except DBAPIError as error:
        print(f"the database refused or does not answer (is it migrated?): {error.orig}", file=sys.stderr)
    except ContentUnavailable as error:
        print(error, file=sys.stderr)
    raise typer.Exit(1)
