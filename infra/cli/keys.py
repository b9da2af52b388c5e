"""`assistantd keys …`: keys to projects and to their administration. The tables keep hashes only; a key is shown once,
when it is made.
"""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.database import with_database
from infra.cli.options import DataDir, require_name

if TYPE_CHECKING:
    from datetime import datetime

    from shared.database import Database

app = typer.Typer(no_args_is_help=True)


@app.command("create")
def create(
    project: Annotated[
        str | None,
        typer.Option(help="The project that the key opens, by name or id; made if there is none of that name."),
    ] = None,
    *,
    admin: Annotated[
        bool, typer.Option("--admin", help="A key to /v1/organization instead, and to nothing else.")
    ] = False,
    name: Annotated[str, typer.Option(help="What to know it by.")] = "Secret Key",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Limits the key, as often as need be: api.threads.read, api.files.write …"),
    ] = None,
    expires_in_days: Annotated[float | None, typer.Option(help="After which it opens nothing.", min=0.001)] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key. It is the last line of the output, and can't be shown again."""
    if (project is None) != admin:
        raise typer.BadParameter("give either --project or --admin")
    if project is not None:
        require_name(project)
    from shared.audit.actor import command_line
    from shared.projects import commands as projects
    from shared.projects import keys
    from shared.projects.scopes import OF_ADMINS, OF_PROJECTS

    expires_in = None if expires_in_days is None else timedelta(days=expires_in_days)

    async def made(db: "Database") -> str:
        keys.check_scopes(scope or [], OF_ADMINS if project is None else OF_PROJECTS)
        if project is None:
            return (await keys.create_admin(db, db.contents, command_line(), name, scope, expires_in)).value
        named = (await projects.get(db, project))["name"] if project.startswith("proj_") else project
        return await keys.create(db, command_line(), named, name, scope, expires_in)

    print(with_database(data_dir, made))


@app.command("list")
def list_all(data_dir: DataDir = None) -> None:
    """Show every key's id, project, name, hint, age, last use and state."""
    from shared.projects import keys

    for row in with_database(data_dir, keys.list_all):
        used = "never used" if row["last_used_at"] is None else f"used {_minute(row['last_used_at'])}"
        limited = [] if row["scopes"] is None else [" ".join(row["scopes"]) or "opens nothing"]
        facts = [
            row["id"],
            row["project"] or "(administration)",
            row["name"],
            row["hint"],
            f"created {_minute(row['created_at'])}",
            used,
            _state(row["revoked_at"], row["expires_at"]),
            *limited,
        ]
        print("  ".join(facts))


@app.command("revoke")
def revoke(key_id: str, data_dir: DataDir = None) -> None:
    """Close a key for good, whichever kind it is."""
    from shared.audit.actor import command_line
    from shared.projects import keys

    if not with_database(data_dir, lambda db: keys.revoke(db, command_line(), key_id)):
        print(f"there is no open key {key_id}", file=sys.stderr)
        raise typer.Exit(1)


def _state(revoked_at: "datetime | None", expires_at: "datetime | None") -> str:
    if revoked_at is not None:
        return f"revoked {_minute(revoked_at)}"
    return "active" if expires_at is None else f"until {_minute(expires_at)}"


def _minute(instant: "datetime") -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
