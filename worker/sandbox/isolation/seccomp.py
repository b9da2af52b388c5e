"""The filter of system calls, as a program for the kernel. What is refused is refused with an error, never with death.

An allowlist: calls that nobody knew when the table was written don't exist inside (ENOSYS, so that libraries fall back
to what they did before), other ones are not permitted (EPERM). Some are allowed with certain arguments only. Written by
hand, because it is forty lines and libseccomp would be one more thing to install.
"""

import errno
import platform
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from worker.sandbox.isolation import syscalls

INSTRUCTION = struct.Struct("=HBBI")
LOAD, EQUAL, GREATER, AT_LEAST, AND, RETURN = 0x20, 0x15, 0x25, 0x35, 0x54, 0x06  # BPF: codes of instructions
NUMBER, ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
ALLOW, ERROR = 0x7FFF0000, 0x00050000
X32 = 0x40000000  # calls of the 32-bit interface on x86-64
NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW… bit
TERMINAL_READS = (
    0x5401,
    0x5413,
    0x541B,
    0x5421,
    0x5450,
    0x5451,
    0x5460,
)  # TCGETS … FIONREAD FIONBIO FIO(N)CLEX FIOQSIZE
PRCTL = (3, 15, 16, 21, 23, 38, 39, 0x53564D41)  # reading, and naming threads and memory
CONNECTED = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)  # whose sendto() can't be given another address

SIGNALLING = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True)
class Architecture:
    """A kind of processor: how the kernel calls it, and its table."""

    audit: int
    table: dict[str, int]


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, syscalls.X86_64),
    "aarch64": Architecture(0xC00000B7, syscalls.AARCH64),
}


class UnknownProcessorError(Exception):
    """There is no table of system calls for this processor."""


def _argument(position: int) -> int:
    """Offset of an argument's lower half: the kernel's own types there are 32 bits wide."""
    return 16 + 8 * position


def _refuse(error: int) -> list[Instruction]:
    return [(RETURN, 0, 0, ERROR | error)]


def _only(position: int, values: Sequence[int], otherwise: int, *, mask: int | None = None) -> list[Instruction]:
    """Allow a call if an argument is one of `values`, else refuse it with `otherwise`."""
    program = [(LOAD, 0, 0, _argument(position)), *([] if mask is None else [(AND, 0, 0, mask)])]
    for left, value in zip(range(len(values), 0, -1), values, strict=True):
        program.append((EQUAL, left, 0, value))
    return [*program, *_refuse(otherwise), (RETURN, 0, 0, ALLOW)]


def _socketpair(*, connected: bool) -> list[Instruction]:
    family = [(LOAD, 0, 0, _argument(0)), (EQUAL, 1, 0, socket.AF_UNIX), *_refuse(errno.EAFNOSUPPORT)]
    return [*family, *(_only(1, CONNECTED, errno.EPERM, mask=0xF) if connected else [(RETURN, 0, 0, ALLOW)])]


COMMON: dict[str, Callable[[], list[Instruction]]] = {
    "clone": lambda: _only(0, [0], errno.EPERM, mask=NEW_NAMESPACES),
    "clone3": lambda: _refuse(errno.ENOSYS),  # its flags can't be seen from here; callers fall back to clone
    "memfd_create": lambda: _refuse(errno.ENOSYS),  # memory that belongs to no process
    "io_uring_setup": lambda: _refuse(errno.ENOSYS),
    "ioctl": lambda: _only(1, TERMINAL_READS, errno.ENOTTY),
    "prctl": lambda: _only(0, PRCTL, errno.EPERM),
    "prlimit64": lambda: _only(0, [0], errno.EPERM),
    "setsid": lambda: _refuse(errno.EPERM),  # the kernel shares the processor out by sessions: one each
    "socket": lambda: _only(0, [socket.AF_UNIX], errno.EAFNOSUPPORT),
    "socketpair": lambda: _socketpair(connected=False),
    **dict.fromkeys(("setxattr", "lsetxattr", "fsetxattr"), lambda: _refuse(errno.ENOTSUP)),  # disk that nobody counts
}
_PRETENDED = ("chmod", "fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "utimensat", "futimesat")
_REFUSED = ("chown", "fchown", "lchown", "fchownat", "setpriority", "inotify_add_watch", "bind", "connect", "listen")
SHARED_ROOT: dict[str, Callable[[], list[Instruction]]] = {
    **COMMON,
    # Where every path of the machine can be named and the user owns some: modes and times stay as they are, and to
    # copy a file still works; no socket can be made that could be connected to anything.
    **dict.fromkeys(_PRETENDED, lambda: _refuse(0)),
    **dict.fromkeys(_REFUSED, lambda: _refuse(errno.EPERM)),
    "sched_setaffinity": lambda: _only(0, [0], errno.EPERM),
    "socket": lambda: _refuse(errno.EACCES),
    "socketpair": lambda: _socketpair(connected=True),
}


def program(*, shared_root: bool, machine: str | None = None) -> bytes:
    """The filter for one level: with a root of its own, or with `shared_root`. Raises UnknownProcessorError."""
    architecture = _architecture(machine or platform.machine())
    table, special = architecture.table, SHARED_ROOT if shared_root else COMMON
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture.audit),
        *_refuse(errno.EPERM),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        *_refuse(errno.ENOSYS),
    ]
    for name, rule in special.items():
        if name in table:
            block = rule()
            code += [(EQUAL, 0, len(block), table[name]), *block]
    for low, high in _ranges(number for name, number in table.items() if name not in special):
        code += [(GREATER, 3, 0, high), (AT_LEAST, 0, 1, low), (RETURN, 0, 0, ALLOW), *_refuse(errno.EPERM)]
    code += [(GREATER, 0, 1, max(table.values())), *_refuse(errno.ENOSYS), *_refuse(errno.EPERM)]
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in code)


def signalling() -> list[int]:
    """Numbers of the calls that send signals. Raises UnknownProcessorError."""
    table = _architecture(platform.machine()).table
    return [table[name] for name in SIGNALLING]


def _architecture(machine: str) -> Architecture:
    if machine not in ARCHITECTURES:
        raise UnknownProcessorError(f"there is no system call table for {machine} processors")
    return ARCHITECTURES[machine]


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Consecutive numbers as pairs of first and last, in order."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges
