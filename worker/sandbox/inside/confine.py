"""Walls that a process puts up around itself, in this order: resource limits, Landlock, the system call filter.

Under bubblewrap only the first is needed here. All of it happens before a package is imported or a thread is started.
"""

import contextlib
import ctypes
import os
import resource
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same number on every architecture
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
RULE_PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
SCOPES_SIGNALS = 6  # the first version that does
RIGHTS = ((1, 13), (2, 1), (3, 1), (5, 1))  # version, and how many rights to files came with it
FIELDS = (1, 4, SCOPES_SIGNALS)  # versions with which struct landlock_ruleset_attr grew: files, TCP, scopes
NET_ALL = 0b11  # bind and connect of TCP
SCOPE_ALL = 0b11  # abstract sockets and signals stay within the domain
LIMITS = {
    "memory": resource.RLIMIT_DATA,
    "address_space": resource.RLIMIT_AS,
    "processes": resource.RLIMIT_NPROC,
    "open_files": resource.RLIMIT_NOFILE,
    "file_size": resource.RLIMIT_FSIZE,
    "cpu": resource.RLIMIT_CPU,
}
NICENESS = 10  # the service comes first

_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return result


def limit(limits: Mapping[str, int]) -> None:
    """Set what one process, and the session's user, may use; nothing inside can raise it again."""
    os.umask(0o077)
    with contextlib.suppress(OSError):  # where /proc is not to be had, the kernel chooses by size
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(NICENESS)
    values = {which: limits[name] for name, which in LIMITS.items()}
    values |= dict.fromkeys((resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE), 0)
    values[resource.RLIMIT_STACK] = 8 << 20
    for which, value in values.items():
        hard = resource.getrlimit(which)[1]
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (wanted, wanted))


def landlock_version() -> int:
    """Which version of Landlock the kernel has; 0 for none."""
    try:
        return _call(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    except OSError:
        return 0


def landlock(readable: Sequence[str], writable: Sequence[str], devices: Sequence[str]) -> int:
    """From here on only these directories and files exist for `open`, and no TCP.

    Returns the version of Landlock, which from SCOPES_SIGNALS on also keeps signals in. Raises OSError.
    """
    version = landlock_version()
    handled = sum(right for since, right in RIGHTS if version >= since)
    files = (1 << handled) - 1
    rules = struct.pack("QQQ", files, NET_ALL, SCOPE_ALL)
    size = sum(8 for since in FIELDS if version >= since)
    ruleset = _call(LANDLOCK_CREATE, ctypes.c_char_p(rules[:size]), ctypes.c_size_t(size), 0)
    everything = files & ~(MAKE_CHAR | MAKE_BLOCK | EXECUTE)
    for paths, rights in (
        (readable, EXECUTE | READ_FILE | READ_DIR),
        (writable, everything),
        (devices, READ_FILE | WRITE_FILE),
    ):
        for path in filter(os.path.exists, paths):
            _allow(ruleset, path, rights & files)
    _no_new_privileges()
    _call(LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not Path(path).is_dir():
            rights &= OF_FILES
        _call(LANDLOCK_ADD, ruleset, RULE_PATH_BENEATH, ctypes.c_char_p(struct.pack("=Qi", rights, place)), 0)
    finally:
        os.close(place)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def seccomp(program: bytes) -> None:
    """Load a filter of system calls. Raises OSError."""
    _no_new_privileges()
    loaded = _Program(len(program) // 8, program)
    if _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(loaded), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refuses the system call filter")


def signal_nobody_else(calls: Sequence[int]) -> None:
    """From here on `calls`, which send signals, reach this process alone. For kernels whose Landlock can't do that.

    A child can signal nobody, not even itself.
    """
    program = [(0x20, 0, 0, 0)]  # load the call's number
    for left, number in zip(range(len(calls), 0, -1), calls, strict=True):
        program.append((0x15, left, 0, number))
    program += [(0x06, 0, 0, 0x7FFF0000), (0x20, 0, 0, 16), (0x15, 0, 1, os.getpid())]
    program += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]  # allow; EPERM
    seccomp(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))


def die_with_parent(signal: int) -> None:
    """Get `signal` when the process that started this one ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)


def _no_new_privileges() -> None:
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        sys.exit("PR_SET_NO_NEW_PRIVS is refused")
