"""Other processes: seeing, signalling, reading, outliving them."""

import asyncio
import os
from pathlib import Path

from tests.sandbox.attacks.attack import Attack
from tests.sandbox.attacks.bait import Bait
from worker.sandbox.client import SandboxSession

ENDS = "would end what runs outside"
MARK = "outliving-daemon-7f3a"


async def bait_lives(_: SandboxSession, bait: Bait) -> str | None:
    return None if bait.is_whole else "the victim is gone"


async def daemon_dies_with_session(session: SandboxSession, _: Bait) -> str | None:
    await session._client.end(session.id)  # pyright: ignore[reportPrivateUsage] - the session as a whole
    for _wait in range(50):
        if not _daemons():
            return None
        await asyncio.sleep(0.1)
    return f"a process outlives its session: {_daemons()}"


def _daemons() -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


ATTACKS = [
    Attack("see another process", "breach(open(f\"/proc/{BAIT['victim']}/comm\").read())"),
    Attack(
        "see any process but our own",
        "names = [n for n in os.listdir('/proc') if n.isdigit()]\nif len(names) > 12: breach(len(names))",
    ),
    Attack(
        "signal another process", "os.kill(BAIT['victim'], 0); breach('it would have reached it')", after=bait_lives
    ),
    Attack(
        "signal it by a pidfd",
        "import signal\nfd = os.pidfd_open(BAIT['victim'])\nsignal.pidfd_send_signal(fd, 0); breach('it would have reached it')",
    ),
    Attack(
        "signal its thread",
        "call(234, 131, BAIT['victim'], BAIT['victim'], 0); breach('it would have reached it')",
    ),
    Attack("kill everything", "import signal\nos.kill(-1, signal.SIGKILL)", ENDS, after=bait_lives, apart=True),
    Attack(
        "kill our parent and number 1",
        "import signal\nfor pid in (os.getppid(), 1):\n    if pid != BAIT['victim']: attempt(os.kill, pid, signal.SIGKILL)",
        ENDS,
        after=bait_lives,
        apart=True,
    ),
    Attack(
        "kill every number there is",
        "import signal\nfor pid in range(2, 70000):\n    if pid != os.getpid():\n"
        "        try: os.kill(pid, signal.SIGKILL)\n        except OSError: pass",
        ENDS,
        after=bait_lives,
        apart=True,
    ),
    Attack(
        "trace another process",
        "call(101, 117, 16902, BAIT['victim'], 0, 0); breach('traced'); call(101, 117, 17, BAIT['victim'], 0, 0)",
    ),
    Attack(
        "read another process's memory",
        "b = ctypes.create_string_buffer(8)\nl = struct.pack('QQ', ctypes.addressof(b), 8)\nr = struct.pack('QQ', ctypes.addressof(b), 8)\n"
        "try: call(310, 270, BAIT['victim'], l, 1, r, 1, 0)\nexcept OSError as e:\n"
        "    if e.errno == errno.EFAULT: breach('permitted, only the address was wrong')\n    raise",
    ),
    Attack("open another process's memory", "os.open(f\"/proc/{BAIT['victim']}/mem\", os.O_RDWR); breach('open')"),
    Attack(
        "take another process's descriptor",
        "fd = os.pidfd_open(BAIT['victim']); call(438, 438, fd, 0, 0); breach('taken')",
    ),
    Attack(
        "set another process's limits",
        "import resource; resource.prlimit(BAIT['victim'], resource.RLIMIT_CORE, (0, 0)); breach('set')",
    ),
    Attack("set another process's priority", "os.setpriority(os.PRIO_PROCESS, BAIT['victim'], 15); breach('set')"),
    Attack("set another process's processors", "os.sched_setaffinity(BAIT['victim'], {0}); breach('set')"),
    Attack(
        "leave the session of the terminal",
        "if os.fork() == 0:\n    try: os.setsid(); breach('left')\n    finally: os._exit(0)\nos.wait()",
    ),
    Attack(
        "type into our terminal",
        "import fcntl\nfor fd in (0, 1, 2):\n    try: fcntl.ioctl(fd, 0x5412, b'x'); breach('typed')\n    except OSError: pass\n"
        "fd = os.open('/dev/tty', os.O_RDWR); fcntl.ioctl(fd, 0x5412, b'x'); breach('typed')",
        "there may be no terminal outside",
    ),
    Attack("outlive the service", "_libc.prctl(1, 0) == 0 and breach('the death signal is off')"),
    Attack("adopt processes", "_libc.prctl(36, 1) == 0 and breach('a subreaper')"),
    Attack(
        "outlive the session",
        "import subprocess\nfor _ in range(2):\n    if os.fork():\n        break\n"
        "else:\n    os.closerange(3, 256)\n"
        f"    os.execv(sys.executable, [sys.executable, '-S', '-c', 'import time; time.sleep(300)  # {MARK}'])",
        "it is looked for by name",
        after=daemon_dies_with_session,
        apart=True,
    ),
]
