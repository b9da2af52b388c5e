"""`assistantd status`: what runs on a data directory."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import typer

from infra.cli.options import DataDir

if TYPE_CHECKING:
    from infra.stack.directory import Facts

COUNT = "SELECT status, count(*) FROM runs WHERE status IN ('queued', 'in_progress') GROUP BY status"


def status(data_dir: DataDir = None) -> None:
    """Show the running stack's parts, addresses and unfinished runs. Ends with 1 if nothing runs."""
    from infra.stack.configuration import data_directory

    directory = data_directory(data_dir)
    facts = directory.running()
    if facts is None:
        print(f"no stack is running on {directory.root}", file=sys.stderr)
        raise typer.Exit(1)
    print(f"running since {facts.started_at.astimezone():%Y-%m-%d %H:%M:%S} on {directory.root} (process {facts.pid})")
    print(f"  {'api':<12} {facts.base_url}/v1")
    if facts.flower_url is not None:
        print(f"  {'flower':<12} {_public(facts.flower_url)}")
    print(f"  {'model':<12} {facts.model}")
    print(f"  {'postgres':<12} {_public(facts.database_url)}: {_runs(facts)}")
    print(f"  {'redis':<12} {_public(facts.redis_url)}: {_ping(facts)}")
    for part in facts.parts:
        print(f"  {part.name:<12} process {part.pid}, log {part.log}")


def _public(url: str) -> str:
    """The address without the password: this is for screens."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _runs(facts: "Facts") -> str:
    import psycopg

    try:
        with psycopg.connect(facts.database_url, connect_timeout=3) as connection:
            counts = dict(connection.execute(COUNT).fetchall())
    except psycopg.Error as error:
        return f"does not answer ({error})"
    return f"{counts.get('queued', 0)} runs queued, {counts.get('in_progress', 0)} in progress"


def _ping(facts: "Facts") -> str:
    import asyncio

    from shared.redis import AWAY, connect

    async def ping() -> None:
        async with connect(facts.redis_url, socket_timeout=3) as client:
            await client.ping()

    try:
        asyncio.run(ping())
    except AWAY as error:
        return f"does not answer ({error})"
    return "answers"
