"""The data directory: which files are in it, who may read them, and whether a stack is running on it."""

import contextlib
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import platformdirs
from pydantic import BaseModel

from infra.embedded import process


class AlreadyRunningError(Exception):
    """Another `assistantd up` holds the data directory."""


class RunningPart(BaseModel):
    """One process of the running stack."""

    name: str
    pid: int | None
    log: Path


class Facts(BaseModel):
    """What the other commands need to know of the running stack."""

    started_at: datetime
    pid: int
    base_url: str
    database_url: str
    redis_url: str
    flower_url: str | None
    model: str
    parts: list[RunningPart]


def default() -> Path:
    """Where data are kept unless somebody says otherwise."""
    return Path("/var/lib/assistantd") if os.geteuid() == 0 else platformdirs.user_data_path("assistantd")


class DataDirectory:
    """Paths below one data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.files = self.root / "files"
        self.logs = self.root / "logs"
        self.env = self.root / "env"
        self.encryption_key = self.root / "encryption.key"
        self.facts = self.root / "stack.json"
        self.lock = self.root / "lock"
        self._held: int | None = None

    def __enter__(self) -> Self:
        """Create the directory and hold it. Raises AlreadyRunningError, or OSError if it can't be created."""
        process.make_state(self.root, process.unprivileged())
        self.logs.mkdir(mode=0o700, exist_ok=True)
        self._held = process.hold(self.lock)
        if self._held is None:
            facts = self.running()
            where = "" if facts is None else f" (process {facts.pid}, {facts.base_url})"
            raise AlreadyRunningError(f"assistantd is already running on {self.root}{where}")
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the directory; whoever looks finds no running stack."""
        self.facts.unlink(missing_ok=True)
        if self._held is not None:
            os.close(self._held)

    def running(self) -> Facts | None:
        """The running stack's facts, or None. A killed stack leaves the file but not the lock."""
        if not self.facts.exists() or not self._is_held():
            return None
        with contextlib.suppress(FileNotFoundError):  # it ended between the two looks
            return Facts.model_validate_json(self.facts.read_bytes())
        return None

    def _is_held(self) -> bool:
        lock = process.hold(self.lock)
        if lock is None:
            return True
        os.close(lock)
        return False

    def write_facts(self, facts: Facts) -> None:
        """Say what runs, to this user alone: the URLs hold passwords."""
        process.write_private(self.facts, json.dumps(facts.model_dump(mode="json"), indent=2) + "\n")

    def read_env(self) -> dict[str, Any]:
        """What `write_env` wrote last; empty where there is no such file."""
        if not self.env.exists():
            return {}
        from dotenv import dotenv_values  # noqa: PLC0415 - not needed for `--help`

        return dotenv_values(self.env)

    def write_env(self, variables: dict[str, str]) -> None:
        """Shell lines for clients: `set -a; . DATA_DIR/env` puts them into the environment."""
        lines = [f"{name}={value}\n" for name, value in variables.items()]
        process.write_private(self.env, "".join(lines))
