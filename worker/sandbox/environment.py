"""The environment that code runs in: an interpreter and packages, apart from the server's own, made beforehand."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

STAMP = "assistantd.json"  # written last when an environment is made: its absence says that it is not whole
COMMAND = "uv run assistantd sandbox-environment"


class NoEnvironmentError(Exception):
    """There is no environment at that place; the message says how to make it."""


@dataclass(frozen=True)
class Environment:
    """A whole environment."""

    root: Path
    prefix: Path
    version: str

    @property
    def packages(self) -> Path:
        """What code can import besides the standard library."""
        return self.root / "lib" / f"python{self.version}" / "site-packages"

    @property
    def fonts(self) -> Path:
        """The directory of matplotlib's list of fonts."""
        return self.root / "fonts"


def find(root: Path) -> Environment:
    """The environment at `root`. Raises NoEnvironmentError."""
    try:
        stamp = json.loads((root / STAMP).read_text())
        found = Environment(root.resolve(), Path(stamp["prefix"]), stamp["version"])
    except (OSError, ValueError, KeyError):
        raise NoEnvironmentError(f"there is no sandbox environment at {root}: {COMMAND}") from None
    if not (found.prefix / "bin" / f"python{found.version}").exists() or not found.packages.exists():
        raise NoEnvironmentError(f"the sandbox environment at {root} is of a Python that is gone: {COMMAND}")
    return found


def write_stamp(root: Path) -> None:
    """The environment is whole: made with the interpreter that runs this."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (root / STAMP).write_text(json.dumps({"prefix": str(Path(sys.base_prefix).resolve()), "version": version}))
