"""What processes have used, as Linux tells it under /proc; a process stands for itself and its descendants."""

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
USER, SYSTEM, ENDED_USER, ENDED_SYSTEM = 11, 12, 13, 14  # fields of /proc/PID/stat, counted after the program's name


def cpu_s(pid: int) -> float:
    """User and system time of the tree so far, in seconds; of descendants that ended, what `pid` has reaped."""
    ticks = 0
    for member in tree(pid):
        try:
            fields = (PROC / str(member) / "stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += int(fields[USER]) + int(fields[SYSTEM])
        if member == pid:
            ticks += int(fields[ENDED_USER]) + int(fields[ENDED_SYSTEM])
    return ticks / TICKS_PER_S


def rss_mb(pid: int) -> float:
    """Resident memory of one process, shared pages counted in full."""
    return _kilobytes(PROC / str(pid) / "status", "VmRSS:") / 1024


def pss_mb(pid: int) -> float:
    """Resident memory of one process, each shared page divided by those who share it."""
    return _kilobytes(PROC / str(pid) / "smaps_rollup", "Pss:") / 1024


def tree(pid: int) -> Iterator[int]:
    """The process and its descendants."""
    yield pid
    for children in (PROC / str(pid) / "task").glob("*/children"):
        try:
            born = children.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in born:
            yield from tree(int(child))


def _kilobytes(file: Path, field: str) -> int:
    return int(file.read_text().split(field)[1].split()[0])
