"""`python -m inside CONFIGURATION`: put up the walls, load packages, execute cells until the service is gone.

CONFIGURATION is a JSON object: `fd` of the socket, `limits`, `renames`, `preload`, `fonts`, and for the level landlock
`walls` with `readable`, `writable`, `devices`, the `filter`'s file descriptor and the numbers of `signalling` calls.
"""

import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import shutil
import signal
import site
import sys
from pathlib import Path
from typing import Any

from . import confine
from .cells import Cells
from .channel import Channel, Interrupts
from .display import Display
from .output import Output


def main() -> None:
    """Never returns while the service lives."""
    configuration: dict[str, Any] = json.loads(sys.argv[1])
    limits, walls, renames = configuration["limits"], configuration["walls"], configuration["renames"]
    interrupts = Interrupts()
    signal.signal(signal.SIGINT, interrupts.handle)
    if walls is None:
        confine.limit(limits)
    else:
        _wall_up(walls, limits)
    channel = Channel(configuration["fd"])
    output = Output(channel, interrupts, limits["output"], {real: named for named, real in renames.items()})
    display = Display(channel, interrupts, output, most=limits["images"], size=limits["image_size"])
    cells = Cells(channel, interrupts, output, display, renames)
    sys.argv = [""]
    for give in (site.setquit, site.setcopyright, site.sethelper):
        give()  # `exit`, `help` and the like, which -S leaves out
    _preload(configuration["preload"], configuration["fonts"])
    output.start()
    channel.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            request = channel.receive()
            channel.call = request["call"]
            status = cells.run(request["code"])
            channel.send("done", status=status, truncated=output.truncated)
    os._exit(0)  # code's threads and exit handlers have nothing to say any more


def _wall_up(walls: dict[str, Any], limits: dict[str, int]) -> None:
    """The level landlock: nobody outside does it for us."""
    confine.die_with_parent(signal.SIGKILL)
    program = _read(walls["filter"])
    confine.limit({**limits, "processes": limits["processes"] + _processes_of_user()})
    version = confine.landlock(walls["readable"], walls["writable"], walls["devices"])
    if version < confine.SCOPES_SIGNALS:
        confine.signal_nobody_else(walls["signalling"])
    confine.seccomp(program)


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _processes_of_user() -> int:
    """Threads that the user has anyway: without a user namespace they count against the limit."""
    count = 0
    for status in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if status.stat().st_uid == os.getuid():
                count += len(list((status / "task").iterdir()))
    return count


def _preload(packages: list[str], fonts: str) -> None:
    """Load what most code wants, while nobody waits for it; matplotlib gets its list of fonts ready-made."""
    target = Path(os.environ["MPLCONFIGDIR"])
    target.mkdir(parents=True, exist_ok=True)
    for file in Path(fonts).glob("fontlist*.json"):
        shutil.copy(file, target)
    for package in packages:
        importlib.import_module(package)
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:  # the first figure loads fonts and more
        pyplot.figure().savefig(io.BytesIO(), format="png")
        pyplot.close("all")
    gc.collect()
    gc.freeze()  # what is loaded stays: collections need not look at it, nor touch its pages
    ctypes.CDLL(None).malloc_trim(0)


main()
