"""`assistantd export` and `assistantd import`: a project in files."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from infra.cli.options import DataDir

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.database import Session
    from shared.files.storage import BlobStore

T = TypeVar("T")

Project = Annotated[str, typer.Option("--project", help="The project's id.")]


def export(project: Project, directory: Path, data_dir: DataDir = None) -> None:
    """Write a project into an empty directory: objects as JSON lines in OpenAI's shapes, and the contents of files."""
    from shared.audit.actor import command_line
    from shared.transfer.export import export

    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        print(sentence, file=sys.stderr)

    counts = _with_session(
        data_dir, project, lambda db, store: export(db, command_line(), store, project, directory, tell)
    )
    print("  ".join(f"{count} {name}" for name, count in counts.items()))
    if told:
        raise typer.Exit(1)


def import_(project: Project, directory: Path, data_dir: DataDir = None) -> None:
    """Add an export, or a dump of OpenAI's objects, to a project. What is there stays as it is: run it again to
    complete what was broken off.
    """
    from shared.audit.actor import command_line
    from shared.transfer.importing import import_into

    def tell(sentence: str) -> None:
        print(sentence, file=sys.stderr)

    counts = _with_session(
        data_dir, project, lambda db, store: import_into(db, command_line(), store, project, directory, tell)
    )
    for word, counted in (("added", counts.added), ("there already", counts.there), ("refused", counts.refused)):
        print(f"{word}: {'  '.join(f'{count} {name}' for name, count in counted.items()) or 'nothing'}")
    if not counts.whole:
        raise typer.Exit(1)


def _with_session(data_dir: Path | None, project_id: str, work: "Callable[[Session, BlobStore], Awaitable[T]]") -> T:
    """Do something with one connection, for the project's content, and the store of the configured or the running
    stack; a refusal is one line.
    """
    from sqlalchemy.exc import DBAPIError

    from infra.stack.configuration import settings_for
    from shared.database import session
    from shared.errors import AssistantdError
    from shared.files.stores import store_of
    from shared.vault.contents import ContentUnavailable
    from shared.vault.databases import database_of

    settings = settings_for(data_dir, without_redis=True)

    async def run() -> T:
        async with database_of(settings, pool_size=1) as keys:
            store = store_of(settings, keys)
            try:
                async with session(settings.database_url, keys.contents, project_id) as db:
                    return await work(db, store)
            finally:
                await store.close()

    try:
        return asyncio.run(run())
    except AssistantdError as error:
        print(error.message, file=sys.stderr)
    except DBAPIError as error:
        print(f"the database refused or does not answer (is it migrated?): {error.orig}", file=sys.stderr)
    except ContentUnavailable as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or 'the store'}: {error.strerror or error}", file=sys.stderr)
    raise typer.Exit(1)
