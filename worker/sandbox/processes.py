"""Looking at processes by /proc, and signalling them."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

STOP_ROUNDS = 50  # looks at what is left running; new ones can only come from ones that still run


def below(leader: int) -> list[int]:
    """Every process that descends from `leader`, parents before children."""
    found: list[int] = []
    waiting = [leader]
    while waiting:
        parent = waiting.pop()
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                children = (thread / "children").read_text()
                waiting += (numbers := [int(number) for number in children.split()])
                found += numbers
    return found


def of_session(leader: int) -> list[int]:
    """Every process of the terminal session that `leader` leads, itself included, wherever it hangs now."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # "(a name)" may hold anything: what counts is behind its last bracket
            fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[3]) == leader and fields[0] != b"Z":
                found.append(int(process.name))
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal processes; those that have ended meanwhile don't matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stop(find: Callable[[], list[int]]) -> list[int]:
    """Stop all that `find` finds, again until nothing new turns up. Returns them."""
    stopped: set[int] = set()
    for _ in range(STOP_ROUNDS):
        fresh = [pid for pid in find() if pid not in stopped]
        if not fresh:
            break
        send(fresh, signal.SIGSTOP)
        stopped.update(fresh)
    return sorted(stopped)


def memory(pids: Iterable[int]) -> int:
    """Bytes of anonymous and shared memory; what processes share counts for each of them."""
    return sum(_of_status(pid) for pid in pids)


def _of_status(pid: int) -> int:
    total = 0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * 1024
    return total


def exact_memory(pids: Iterable[int]) -> int:
    """The same with what is shared divided among those who share it. Slower; 0 for what can't be looked at."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1]) * 1024
    return total


def available_memory(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that can still be had: of the machine, and within a container of what it is limited to."""
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return min([int(line.split()[1]) * 1024, *_left_of_group(group)])
    raise OSError(f"{meminfo} says nothing of MemAvailable")


def _left_of_group(group: Path) -> list[int]:
    """What is left below the control group's limit, if it has one. Files that nobody uses are given back in time."""
    for place, most, used in (
        (group, "memory.max", "memory.current"),
        (group / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),  # the hierarchy before version 2
    ):
        try:
            limit, usage = int((place / most).read_text()), int((place / used).read_text())
            facts = dict(line.split(maxsplit=1) for line in (place / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # not there, or "max"
            continue
        return [max(0, limit - usage + int(facts.get("inactive_file", 0)))]
    return []
