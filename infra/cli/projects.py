"""`assistantd projects …`: the tenants."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import typer

from infra.cli.database import with_database
from infra.cli.options import DataDir

app = typer.Typer(no_args_is_help=True)


@app.command("create")
def create(name: str, data_dir: DataDir = None) -> None:
    """Make a project; its id is the last line of the output."""
    from shared.projects import commands as projects

    print(with_database(data_dir, lambda db: projects.create(db, name))["id"])


@app.command("list")
def list_all(data_dir: DataDir = None) -> None:
    """Show every project's id, name, age, state and number of keys."""
    from shared.projects import commands as projects

    for row in with_database(data_dir, projects.list_all):
        archived = row["archived_at"]
        state = "active" if archived is None else f"archived {archived:%Y-%m-%d %H:%M}"
        print(f"{row['id']}  {row['name']}  created {row['created_at']:%Y-%m-%d %H:%M}  {state}  {row['keys']} keys")


@app.command("rename")
def rename(project_id: str, name: str, data_dir: DataDir = None) -> None:
    """Give a project another name."""
    from shared.projects import commands as projects

    with_database(data_dir, lambda db: projects.modify(db, project_id, name))


@app.command("archive")
def archive(project_id: str, data_dir: DataDir = None) -> None:
    """Close a project for good: its keys open nothing any more, its data stay."""
    from shared.projects import commands as projects

    with_database(data_dir, lambda db: projects.archive(db, project_id))
