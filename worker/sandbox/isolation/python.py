"""The Python that runs inside: which files it consists of, where another user can reach them, how it is started."""

import ctypes
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import worker.sandbox.inside
from worker.sandbox.environment import Environment
from worker.sandbox.isolation.level import UnavailableError
from worker.sandbox.users import User

PRELOAD = ("numpy", "pandas", "matplotlib.pyplot", "PIL.ImageShow")
CLONE_NEWNS, MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x00020000, 1, 32, 0x1000, 0x4000, 0x40000
THREADS = "2"  # of numerical libraries: more cost memory each, and there are many sessions


@dataclass(frozen=True)
class Python:
    """Where the parts lie, on this machine or within a root."""

    prefix: Path  # of the interpreter: bin/pythonX.Y and lib/pythonX.Y below it
    version: str
    packages: Path
    fonts: Path
    runner: Path  # the directory that holds `inside`

    @classmethod
    def of(cls, environment: Environment, runner: Path) -> Self:
        """The interpreter that `environment` was made with, its packages, and a copy of `inside` made in `runner`."""
        shutil.rmtree(runner, ignore_errors=True)
        source = Path(worker.sandbox.inside.__file__).parent
        shutil.copytree(source, runner / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        for place in (runner, *runner.rglob("*")):
            place.chmod(0o755 if place.is_dir() else 0o644)
        return cls(environment.prefix, environment.version, environment.packages, environment.fonts, runner)

    @property
    def executable(self) -> Path:
        """The interpreter itself."""
        return self.prefix / "bin" / f"python{self.version}"

    def command(self, configuration: Mapping[str, Any]) -> list[str]:
        """`python -m inside`, without the packages that the interpreter has on this machine."""
        return [str(self.executable), "-S", "-m", "inside", json.dumps(configuration)]

    @property
    def foreign(self) -> list[Path]:
        """Directories of packages that the interpreter has on this machine: none of the environment's business."""
        library = self.prefix / "lib"
        return [
            place
            for place in (library / f"python{self.version}" / "site-packages", library / "python3" / "dist-packages")
            if place.exists()
        ]

    def configuration(self, socket: int, limits: Mapping[str, int]) -> dict[str, Any]:
        """What `inside` has to be told whatever the level."""
        told = {"fd": socket, "limits": dict(limits), "preload": PRELOAD, "fonts": str(self.fonts)}
        return {**told, "renames": {}, "walls": None}

    def variables(self, *, home: str, tmp: str) -> dict[str, str]:
        """The whole environment of the interpreter: nothing of ours is passed on."""
        return {
            "PATH": str(self.executable.parent),
            "HOME": home,
            "TMPDIR": tmp,
            "USER": "sandbox",
            "LANG": "C.UTF-8",
            "PYTHONHOME": str(self.prefix),
            "PYTHONPATH": f"{self.runner}:{self.packages}",
            "PYTHONNOUSERSITE": "1",
            "PYTHONSAFEPATH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LD_LIBRARY_PATH": str(self.prefix / "lib"),
            "MPLCONFIGDIR": f"{home}/.matplotlib",
            "MPLBACKEND": "module://inside.figures",
            "MALLOC_ARENA_MAX": "2",
            "LOKY_MAX_CPU_COUNT": THREADS,
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), THREADS),
        }


def reachable(python: Python, user: User | None, places: Path) -> Python:
    """The same where `user` can reach it; None stands for whoever runs this service.

    Files below a home directory of mode 0700 can't be reached by another user. They are mounted on directories below
    `places`, in a mount namespace of this process alone, read-only: nothing is copied, nobody's permissions are
    changed, and whoever clears `places` away in this process doesn't clear away what is mounted there. Raises
    UnavailableError where that is not permitted, naming the directory that is in the way.
    """
    parts = {name: getattr(python, name) for name in ("prefix", "packages", "fonts")}
    blocked = {} if user is None else {n: wall for n, place in parts.items() if (wall := barrier(place, user.uid))}
    if blocked:
        _own_mounts(next(iter(blocked.values())))
    return replace(python, **{name: _mount(parts[name], places / name) for name in blocked})


def barrier(path: Path, uid: int) -> Path | None:
    """The first directory on the way that a user without any group of ours can't enter, if any; by mode bits."""
    for place in (*reversed(path.parents), path):
        facts = place.stat()
        wanted = stat.S_IXUSR if facts.st_uid == uid else stat.S_IXOTH
        if stat.S_ISDIR(facts.st_mode) and not facts.st_mode & wanted:
            return place
    return None


def _own_mounts(wall: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise UnavailableError(
            f"sessions run as another user, who may not enter {wall}, and this process may not mount: "
            f"run the service as an ordinary user, or allow it with: chmod o+x {wall}"
        )


def _mount(place: Path, on: Path) -> Path:
    on.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    flags = (MS_BIND | MS_REC, MS_BIND | MS_REMOUNT | MS_RDONLY)
    if any(libc.mount(os.fsencode(place), os.fsencode(on), None, flag, None) for flag in flags):
        raise UnavailableError(f"{place} can't be mounted on {on}: {os.strerror(ctypes.get_errno())}")
    return on


def links_of_root() -> list[tuple[str, str | None]]:
    """The directories of shared libraries at the root: where a link leads, or None for a directory."""
    places = [place for place in map(Path, ("/lib", "/lib64", "/lib32")) if place.exists()]
    return [(str(place), str(place.readlink()) if place.is_symlink() else None) for place in places]
