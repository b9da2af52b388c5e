"""The level `landlock`: for development, and where user namespaces are refused. Not between people who don't trust
each other.

The kernel's Landlock lets the process open what it needs and nothing else, the filter of system calls takes away
sockets, and everything that would change modes, owners or times of a file; limits as ever. Where the service is root,
each session is a user of its own.

Without a mount namespace there is no `/mnt/data`: the name is replaced by the real directory's in code, and back in
what is printed.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.sandbox import processes
from worker.sandbox.environment import Environment
from worker.sandbox.inside import confine
from worker.sandbox.isolation import seccomp
from worker.sandbox.isolation.level import MOUNTED, Isolation, Launch, UnavailableError
from worker.sandbox.isolation.python import Python, reachable
from worker.sandbox.users import User

FILES_OF_PROC = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random")
LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo")


class Landlock(Isolation):
    """Landlock and a filter."""

    name = "landlock"
    HOLES = (
        "the kernel is the machine's own",
        "stat() tells of every path whether it exists, how large it is and whose",
        "the machine's process numbers can be seen, though not what they are",
        "limits of memory and disk are looked after ten times a second: a burst may pass them by 20 %",
        "the number of processes is limited together with the user's other ones, unless the service is root",
        "if the service is killed without warning, what code has forked may live on",
        "no locks of multiprocessing, no sockets, of /proc only the interpreter; paths are replaced in code's text",
    )

    def __init__(self, python: Python, state: Path) -> None:
        self._python = python
        self._filter = state / "landlock.filter"

    @property
    def details(self) -> dict[str, Any]:
        """Landlock's version."""
        return {"landlock": confine.landlock_version()}

    def launch(self, workplace: Path, socket: int, limits: Mapping[str, int]) -> Launch:
        """Python, which puts the walls up itself before it does anything else."""
        program = os.open(self._filter, os.O_RDONLY | os.O_CLOEXEC)
        python = self._python
        walls = {
            "readable": [
                *LIBRARIES,
                *FILES_OF_PROC,
                *map(str, (python.prefix / "lib", python.executable, python.packages, python.fonts, python.runner)),
            ],
            "writable": [str(workplace / name) for name in ("data", "tmp", "home")],
            "devices": DEVICES,
            "filter": program,
            "signalling": seccomp.signalling(),
        }
        configuration = python.configuration(socket, limits)
        configuration |= {"walls": walls, "renames": {MOUNTED: str(workplace / "data")}}
        variables = python.variables(home=str(workplace / "home"), tmp=str(workplace / "tmp"))
        return Launch(python.command(configuration), variables, [socket, program])

    def processes(self, leader: int) -> list[int]:
        """The session of the terminal: the filter lets nobody leave it."""
        return processes.of_session(leader)


def prepare(environment: Environment, state: Path, user: User | None) -> Landlock:
    """The level, if the kernel has it. Raises UnavailableError."""
    if not confine.landlock_version():
        raise UnavailableError("the kernel has no Landlock (Linux 5.13 or later, with `landlock` among its `lsm=`)")
    try:
        (state / "landlock.filter").write_bytes(seccomp.program(shared_root=True))
    except seccomp.UnknownProcessorError as error:
        raise UnavailableError(str(error)) from error
    return Landlock(reachable(Python.of(environment, state / "runner"), user, state / "mounts"), state)
