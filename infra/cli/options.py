"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where the stack keeps its data [ASSISTANTD_DATA_DIR, else this user's data directory].",
        show_default=False,
    ),
]
Host = Annotated[str, typer.Option("--host", help="The address to listen on.")]
Wait = Annotated[bool, typer.Option("--wait", hidden=True, help="Load, then wait for standard input to be closed.")]


def require_name(name: str) -> None:
    """Refuse a project's name that has nothing in it. Raises BadParameter."""
    if not name.strip():
        raise typer.BadParameter("a project needs a name")
