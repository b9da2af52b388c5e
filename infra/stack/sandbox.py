"""The code interpreter's service as a part of the stack, where its environment has been made."""

import os
import secrets
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from infra.embedded import process
from infra.embedded.process import LOOPBACK
from infra.environment import place
from infra.stack.directory import DataDirectory
from infra.stack.program import Program
from shared.settings import PREFIX, SANDBOX_PREFIX
from worker.sandbox import environment

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", f"{PREFIX}LOG_FORMAT", f"{PREFIX}LOG_LEVEL")
GRACE = timedelta(seconds=15)  # longer than its own drain


@dataclass(frozen=True)
class Sandbox:
    """The part, or why there is none, and how workers reach it."""

    part: Program | None
    missing: str | None
    url: str | None = None
    secret: str | None = None


def plan(directory: DataDirectory, *, is_elsewhere: bool) -> Sandbox:
    """A service with a secret of its own, unless one runs elsewhere. It is told nothing else that is secret.

    Where we are root, it stays root, so that it can give each session a user of its own.
    """
    if is_elsewhere:
        return Sandbox(None, None)
    root = os.environ.get(f"{SANDBOX_PREFIX}ENVIRONMENT", str(place()))
    try:
        environment.find(Path(root))
    except environment.NoEnvironmentError as error:
        return Sandbox(None, f"no code interpreter: {error}")
    port, secret = process.free_port(), secrets.token_hex(24)
    own = {"SECRET": secret, "STATE": str(directory.root / "sandbox"), "ENVIRONMENT": root}
    part = Program(
        "sandbox",
        [sys.executable, "-P", "-m", "infra.cli", "sandbox", "--port", str(port)],
        log=directory.logs / "sandbox.log",
        environment=_variables() | {f"{SANDBOX_PREFIX}{name}": value for name, value in own.items()},
        grace=GRACE,
        dispensable=True,
    )
    return Sandbox(part, None, f"http://{LOOPBACK}:{port}", secret)


def _variables() -> dict[str, str]:
    """What is set for the service, and what a program needs: no other variable, for it may be a credential."""
    return {name: value for name, value in os.environ.items() if name.startswith(SANDBOX_PREFIX) or name in PASSED_ON}
