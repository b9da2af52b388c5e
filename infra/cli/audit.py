"""`assistantd audit …`: who did what, and whether the log still says what it said."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.database import with_database
from infra.cli.options import DataDir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.audit.chain import Head
    from shared.database import Database, Row

app = typer.Typer(no_args_is_help=True)


def _head(text: str) -> Any:
    from shared.audit.chain import Head

    try:
        return Head.parse(text)
    except ValueError:
        raise typer.BadParameter("expected what `audit verify` printed: NUMBER:HASH") from None


@app.command("verify")
def verify(
    expect: Annotated[
        Any | None,
        typer.Option(help="A head that was printed before: it has to be there still.", parser=_head, metavar="HEAD"),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Look at every entry and at the chain that they form. The last line is its head; keep it elsewhere.

    Ends with 1, and the first entry that is not what it was, if there is one.
    """
    from shared.audit import chain

    expected: Head = chain.NOTHING if expect is None else expect
    found = with_database(data_dir, lambda db: chain.verify(db, expected))
    if isinstance(found, chain.Broken):
        print(found, file=sys.stderr)
        raise typer.Exit(1)
    print(f"{found.number} entries, none of them changed")
    print(found)


@app.command("list")
def list_newest(
    project: Annotated[str | None, typer.Option(help="Of this project, by its id.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="Of this kind, as often as need be.")] = None,
    actor: Annotated[str | None, typer.Option(help="By this key, service account or user.")] = None,
    resource: Annotated[str | None, typer.Option(help="On this object, by its id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many.")] = 50,
    data_dir: DataDir = None,
) -> None:
    """Show the newest entries, oldest first: number, time, act, on what, in which project, by whom, from where."""
    from shared.audit import commands as audit
    from shared.audit.entries import EVENTS
    from shared.table import Page

    for one in event or ():
        if one not in EVENTS:
            raise typer.BadParameter(f"{one} is none of {', '.join(EVENTS)}")
    wanted = audit.Wanted(
        project_ids=None if project is None else [project],
        events=event or None,
        actor_ids=None if actor is None else [actor],
        resource_ids=None if resource is None else [resource],
    )

    async def read(db: "Database") -> "Sequence[Row]":
        return (await audit.page(db, Page(limit), wanted)).rows

    for row in reversed(with_database(data_dir, read)):
        print("  ".join(_told(row)))


def _told(row: "Row") -> list[str]:
    changed = [] if row["changed"] is None else [f"({', '.join(row['changed'])})"]
    return [
        str(row["number"]),
        f"{row['created_at']:%Y-%m-%d %H:%M:%S}",
        row["type"],
        row["resource_id"],
        *changed,
        row["project_id"] or "(organization)",
        f"{row['actor_kind']} {row['actor_id']}",
        row["ip_address"] or "-",
    ]
