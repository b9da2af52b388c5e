"""Making the environment of the code interpreter, which takes a network; the service itself downloads nothing."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import infra
from worker.sandbox import environment

PROJECT = Path(infra.__path__[0]) / "sandbox"
UV = os.environ.get("UV", "uv")  # `uv run` says which uv it is


class MakeError(Exception):
    """The environment could not be made; what is left counts as none."""


def place() -> Path:
    """Where it is unless a setting says otherwise."""
    return PROJECT / ".venv"


def make(root: Path) -> None:
    """Install what the lock says, compiled, with the list of fonts, readable for every user. Raises MakeError."""
    if shutil.which(UV) is None:
        raise MakeError("there is no uv here: pip install uv")
    (root / environment.STAMP).unlink(missing_ok=True)
    sync = [UV, "sync", "--locked", "--project", PROJECT, "--python", sys.executable, "--compile-bytecode", "--quiet"]
    variables = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    python = root / "bin" / "python"
    for command in (sync, [python, "-I", PROJECT / "bake.py", root / "fonts"]):
        done = subprocess.run(command, env={**variables, "UV_PROJECT_ENVIRONMENT": str(root)}, check=False)
        if done.returncode:
            raise MakeError(f"{command[0]} ended with {done.returncode}")
    _open_up(root)
    environment.write_stamp(root)


def _open_up(root: Path) -> None:
    """Whatever the umask was: others may read. Sessions of a service that is root are other users."""
    for directory, _, files in os.walk(root):
        for entry in (Path(directory), *(Path(directory) / name for name in files)):
            if entry.is_symlink():
                continue
            mode = stat.S_IMODE(entry.stat().st_mode)
            wanted = mode | (0o055 if entry.is_dir() or mode & 0o100 else 0o044)
            if wanted != mode:
                entry.chmod(wanted)
