"""What tests of exports and imports have in common."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from tests.system import System


async def command(system: System, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """A command of ours, on the system's database and files."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "infra.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **system.environment()},
        timeout=100,
    )


async def said(system: System, *arguments: str | Path) -> str:
    """What a command printed, which succeeded."""
    done = await command(system, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def project_of(system: System, name: str) -> str:
    ((project_id,),) = system.query("SELECT id FROM projects WHERE name = %s", name)
    return project_id
