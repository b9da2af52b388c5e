"""`assistantd projects …`: the tenants."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.database import with_database
from infra.cli.options import DataDir, require_name

if TYPE_CHECKING:
    from shared.database import Database, Row

app = typer.Typer(no_args_is_help=True)

NONE = "none"


@dataclass(frozen=True)
class Limit:
    """What an option says; None lifts the limit, where an option that isn't given leaves it."""

    value: int | None


def _limit(text: str) -> Limit:
    from shared.wire.limits import PROJECT_LIMIT

    if text == NONE:
        return Limit(None)
    if not text.isdecimal() or not 1 <= int(text) <= PROJECT_LIMIT:
        raise typer.BadParameter(f"expected a whole number from 1, or {NONE}")
    return Limit(int(text))


def _option(told: str) -> Any:
    return typer.Option(help=f"{told}; `{NONE}` lifts it.", parser=_limit, metavar=f"NUMBER|{NONE}")


_UNITS = {"d": 86_400, "h": 3600, "m": 60}


def _kept(text: str, within: str) -> Limit:
    """For how long: `30d`, `12h`, `5m` or `none`; `within` names the least and the most in `shared/wire/limits.py`."""
    from shared.wire import limits

    if text == NONE:
        return Limit(None)
    least, most = getattr(limits, within)
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdecimal() or not least <= int(number) * _UNITS[unit] <= most:
        told = f"from {_told_duration(least)} to {_told_duration(most)}"
        raise typer.BadParameter(f"expected days, hours or minutes, such as 30d, 12h or 5m, {told}, or {NONE}")
    return Limit(int(number) * _UNITS[unit])


def _kept_option(told: str, within: str = "RETENTION_SECONDS", otherwise: str = "keeps them for ever") -> Any:
    parser = partial(_kept, within=within)
    return typer.Option(help=f"{told}; `{NONE}` {otherwise}.", parser=parser, metavar=f"30d|12h|5m|{NONE}")


@app.command("create")
def create(name: str, data_dir: DataDir = None) -> None:
    """Make a project; its id is the last line of the output."""
    require_name(name)
    from shared.audit.actor import command_line
    from shared.projects import commands as projects

    print(with_database(data_dir, lambda db: projects.create(db, command_line(), name))["id"])


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
    require_name(name)
    from shared.audit.actor import command_line
    from shared.projects import commands as projects

    with_database(data_dir, lambda db: projects.modify(db, command_line(), project_id, {"name": name}))


@app.command("budget")
def budget(
    project_id: str,
    limit: Annotated[float | None, typer.Option(min=0.01, help="Dollars a month that it may spend.")] = None,
    alert: Annotated[float | None, typer.Option(min=0.01, help="Dollars a month from which on you are told.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Take its budget away.")] = False,  # noqa: FBT002
    data_dir: DataDir = None,
) -> None:
    """Say what a project may spend in a calendar month, UTC; without options, show it."""
    from infra.stack.configuration import settings_for
    from shared.audit.actor import command_line
    from shared.usage import budgets
    from shared.usage.prices import PriceList

    if none:
        with_database(data_dir, lambda db: budgets.remove(db, command_line(), project_id))
        return
    prices = PriceList.load(settings_for(data_dir, without_redis=True).prices)
    cents = {"limit": _cents(limit), "alert": _cents(alert)}
    if any(cents.values()):
        by, both = command_line(), (cents["limit"], cents["alert"])
        row = with_database(data_dir, lambda db: budgets.put(db, by, prices, project_id, *both))
    else:
        row = with_database(data_dir, lambda db: budgets.get(db, prices, project_id))
    told = [f"{name} ${row[f'{name}_cents'] / 100:.2f}" for name in cents if row[f"{name}_cents"] is not None]
    state = "  no quota: new runs are refused" if row["exhausted"] else ""
    print(f"{project_id}  {'  '.join(told)}  spent ${row['spent']:.2f} this month{state}")


def _cents(dollars: float | None) -> int | None:
    return None if dollars is None else round(dollars * 100)


@app.command("archive")
def archive(project_id: str, data_dir: DataDir = None) -> None:
    """Close a project for good: its keys open nothing any more, its data stay."""
    from shared.audit.actor import command_line
    from shared.projects import commands as projects

    with_database(data_dir, lambda db: projects.archive(db, command_line(), project_id))


@app.command("delete")
def delete(
    project_id: str,
    confirm: Annotated[str, typer.Option(prompt="Its id once more", help="The project's id once more.")],
    data_dir: DataDir = None,
) -> None:
    """Delete an archived project with everything in it. It is gone at once, and can't be got back."""
    from shared.audit.actor import command_line
    from shared.projects import commands as projects

    if confirm != project_id:
        raise typer.BadParameter("the two ids are not the same")
    with_database(data_dir, lambda db: projects.delete(db, command_line(), project_id))


@app.command("retention")
def retention(
    project_id: str,
    *,
    threads: Annotated[Limit | None, _kept_option("Threads, from the last thing that happened on them")] = None,
    files: Annotated[Limit | None, _kept_option("Uploaded files that nothing has, from their creation")] = None,
    outputs: Annotated[Limit | None, _kept_option("Files that code made, likewise")] = None,
    events: Annotated[
        Limit | None,
        _kept_option(
            "Events of new runs in Redis, from a run's end", "EVENTS_SECONDS", "leaves that to when it would expire"
        ),
    ] = None,
    sessions: Annotated[
        Limit | None,
        _kept_option(
            "Sessions of the code interpreter, from their last call", "SESSIONS_SECONDS", "leaves that to the service"
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Say how long a project keeps things; without options, show it."""
    from shared.audit.actor import command_line
    from shared.projects import commands as projects
    from shared.removals.retention import KEPT

    given = {"threads": threads, "files": files, "outputs": outputs, "events": events, "sessions": sessions}
    changes = {f"{name}_kept_s": kept.value for name, kept in given.items() if kept is not None}

    async def change(db: "Database") -> "Row":
        if not changes:
            return await projects.get(db, project_id)
        return await projects.modify(db, command_line(), project_id, changes)

    row = with_database(data_dir, change)
    for name in given:
        kept_s = row[f"{name}_kept_s"]
        unsaid = "for ever" if name in KEPT else "as ever"
        print(f"{name}  {unsaid if kept_s is None else _told_duration(kept_s)}")


def _told_duration(seconds: int) -> str:
    for unit, size in _UNITS.items():
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


@app.command("limit")
def limit(
    project_id: str,
    model: Annotated[
        str | None, typer.Option(help="The limits are those of its runs; without, of the whole project.")
    ] = None,
    *,
    requests_per_minute: Annotated[Limit | None, _option("Requests, or with --model new runs, a minute")] = None,
    tokens_per_minute: Annotated[Limit | None, _option("With --model: tokens of its runs a minute")] = None,
    concurrent_runs: Annotated[Limit | None, _option("Runs worked on at once; others wait")] = None,
    stored_bytes: Annotated[Limit | None, _option("Bytes of all files together")] = None,
    sandbox_sessions: Annotated[Limit | None, _option("Sessions of the code interpreter at once")] = None,
    data_dir: DataDir = None,
) -> None:
    """Limit what a project may do. Every process knows it a second later."""
    from shared.audit.actor import command_line
    from shared.projects import commands as projects
    from shared.projects import limits

    of_model = {"max_requests": requests_per_minute, "max_tokens": tokens_per_minute}
    of_project = {
        "max_requests_per_minute": requests_per_minute,
        "max_concurrent_runs": concurrent_runs,
        "max_stored_bytes": stored_bytes,
        "max_sandbox_sessions": sandbox_sessions,
    }
    asked, others = (of_project, {"max_tokens": tokens_per_minute}) if model is None else (of_model, of_project)
    changes = {name: given.value for name, given in asked.items() if given is not None}
    stray = {name for name, given in others.items() if given is not None} - {"max_requests_per_minute"}
    if not changes or stray:
        raise typer.BadParameter("give limits of the project, or with --model requests or tokens a minute")

    async def change(db: "Database") -> None:
        if model is None:
            await projects.modify(db, command_line(), project_id, changes)
        else:
            await limits.modify_rate(db, command_line(), project_id, model, changes)

    with_database(data_dir, change)


@app.command("limits")
def limits(project_id: str, data_dir: DataDir = None) -> None:
    """Show a project's limits, those that there are."""
    from shared.projects import commands as projects
    from shared.projects import limits

    async def read(db: "Database") -> list[tuple[str, int | None]]:
        project = await projects.get(db, project_id)
        found = [(told, project[column]) for column, told in _TOLD.items()]
        for rate in await limits.rates(db, project_id):
            found += [(told.format(rate["model"]), rate[column]) for column, told in _TOLD_OF_MODELS.items()]
        return found

    for told, value in with_database(data_dir, read):
        if value is not None:
            print(f"{value}  {told}")


_TOLD = {
    "max_requests_per_minute": "requests a minute",
    "max_concurrent_runs": "runs at once",
    "max_stored_bytes": "bytes of files",
    "max_sandbox_sessions": "sessions of the code interpreter at once",
}
_TOLD_OF_MODELS = {"max_requests": "new runs of {} a minute", "max_tokens": "tokens of {} a minute"}
