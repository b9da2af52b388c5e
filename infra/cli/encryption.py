"""`assistantd encryption …`: keys to what is stored."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import sys
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from infra.cli.database import with_database
from infra.cli.options import DataDir

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from shared.database import Database
    from shared.files.sealed import SealedStore

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True)


@app.command("status")
def status(data_dir: DataDir = None) -> None:
    """Show data keys by the master key that wraps them, and how much is sealed by keys in use: it is all looked at."""
    from shared.files.resealing import look
    from shared.projects.hashes import look as look_at_keys
    from shared.vault.resealing import look as look_at_content

    async def told(db: "Database") -> None:
        store = _store(data_dir, db)
        vault = store.keys
        for row in await vault.count():
            mark = "current" if row["master"] == vault.master else "former"
            print(f"master {row['master']} ({mark})  data keys: {row['in_use']} in use, {row['retired']} retired")
        print(await look_at_keys(db))
        print(await look_at_content(db))
        print(await look(db, store))

    _with_database(data_dir, told)


@app.command("rewrap")
def rewrap(data_dir: DataDir = None) -> None:
    """Wrap every data key by the first of ASSISTANTD_ENCRYPTION_KEYS; the others are not needed afterwards."""
    from shared.audit.actor import command_line

    async def done(db: "Database") -> str:
        vault = _store(data_dir, db).keys
        return f"{await vault.rewrap(command_line())} data keys rewrapped by the master key {vault.master}"

    print(_with_database(data_dir, done))


@app.command("seal")
def seal(
    *,
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="Let every project begin a new data key before, and seal all anew.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Seal what is plain, or sealed by retired keys; keys that nothing was sealed by for hours are forgotten.

    It may be broken off and begun again, while everything else goes on.
    """
    from shared.audit.actor import command_line
    from shared.files.resealing import reseal
    from shared.projects.hashes import seal as seal_keys
    from shared.vault.resealing import reseal as reseal_content

    async def done(db: "Database") -> str:
        store = _store(data_dir, db)
        if new_keys:
            print(f"{await store.keys.retire(command_line())} data keys retired", file=sys.stderr)
        hashed = await seal_keys(db)
        content = await reseal_content(db)
        files = await reseal(db, store)
        whole = not content.left and not content.unreadable and not files.unreadable
        forgotten = await store.keys.forget(command_line()) if whole else 0
        return f"keys: {hashed} hashed by the secret\n{content}\n{files}\n{forgotten} retired keys forgotten"

    print(_with_database(data_dir, done))


def _with_database(data_dir: "Path | None", work: "Callable[[Database], Awaitable[T]]") -> T:
    """A key or a store that is away is one line, and status 1."""
    from shared.files.storage import StoreUnavailable
    from shared.vault.masters import NoMasterKey
    from shared.vault.opened import DamagedError

    try:
        return with_database(data_dir, work)
    except (NoMasterKey, DamagedError, StoreUnavailable) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


def _store(data_dir: "Path | None", db: "Database") -> "SealedStore":
    from infra.stack.configuration import settings_for
    from shared.files.stores import store_of

    store = store_of(settings_for(data_dir, without_redis=True), db)
    if store.vault is None:
        print("ASSISTANTD_ENCRYPTION_KEYS is not set: content and files are stored as they are", file=sys.stderr)
        raise typer.Exit(1)
    return store
