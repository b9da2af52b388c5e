"""`assistantd keys …`: API keys of projects. The table keeps hashes only; a key is shown once, when it is made."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from infra.cli.options import DataDir

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.database import Database

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True)


@app.command("create")
def create(
    project: Annotated[str, typer.Option(help="The project that the key opens; made if there is none of that name.")],
    data_dir: DataDir = None,
) -> None:
    """Make a key. It is the last line of the output, and can't be shown again."""
    from shared.projects import keys

    print(_with_database(data_dir, lambda db: keys.create(db, project)))


@app.command("list")
def list_all(data_dir: DataDir = None) -> None:
    """Show every key's id, project, hint, age and whether it is revoked."""
    from shared.projects import keys

    for row in _with_database(data_dir, keys.list_all):
        state = "active" if row["revoked_at"] is None else f"revoked {row['revoked_at']:%Y-%m-%d %H:%M}"
        print(f"{row['id']}  {row['project']}  {row['hint']}  created {row['created_at']:%Y-%m-%d %H:%M}  {state}")


@app.command("revoke")
def revoke(key_id: str, data_dir: DataDir = None) -> None:
    """Close a key for good."""
    from shared.projects import keys

    if not _with_database(data_dir, lambda db: keys.revoke(db, key_id)):
        print(f"there is no open key {key_id}", file=sys.stderr)
        raise typer.Exit(1)


def _with_database(data_dir: DataDir, work: "Callable[[Database], Awaitable[T]]") -> T:
    """Do something with the configured or the running stack's database."""
    from sqlalchemy.exc import DBAPIError

    from infra.stack.configuration import settings_for
    from shared.database import Database

    url = settings_for(data_dir, without_redis=True).database_url

    async def run() -> T:
        async with Database(url, pool_size=2) as db:
            return await work(db)

    try:
        return asyncio.run(run())
    except DBAPIError as error:
        print(f"the database refused or does not answer (is it migrated?): {error.orig}", file=sys.stderr)
        raise typer.Exit(1) from None
