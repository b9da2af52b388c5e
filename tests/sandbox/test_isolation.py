"""Levels: which one is chosen, what the filter says on each processor, and that development's level is of use."""

import os
import platform
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from infra.environment import place as environment_place
from tests.sandbox.calls import run, value
from tests.sandbox.service import SandboxService, require
from worker.sandbox import environment, processes
from worker.sandbox.environment import NoEnvironmentError
from worker.sandbox.isolation import UnavailableError, prepare, seccomp
from worker.sandbox.isolation.seccomp import ARCHITECTURES, UnknownProcessorError

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
UNSHARE = {"x86_64": 272, "aarch64": 97}
PTRACE = {"x86_64": 101, "aarch64": 117}

MOUNT_AND_CLEAR = """
import shutil, sys
from pathlib import Path
from worker.sandbox.isolation.python import Python, reachable
from worker.sandbox.users import User
hidden, places = map(Path, sys.argv[1:])
python = Python(hidden / "prefix", "3", hidden / "packages", hidden / "fonts", hidden)
assert reachable(python, User(50_000), places).fonts.joinpath("kept").read_text() == "still here"
print("mounted")
shutil.rmtree(places)
"""


def decide(program: bytes, machine: str, number: int, *arguments: int) -> int:
    """What the filter says, by a machine of its own: the kernel's semantics of the six instructions that are used."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, ARCHITECTURES[machine].audit, 0, *words)
    code = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        what, yes, no, operand = code[position]
        position += 1
        match what:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x06:
                return operand
            case _:
                holds = {0x15: accumulator == operand, 0x25: accumulator > operand, 0x35: accumulator >= operand}[what]
                position += yes if holds else no


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("shared_root", [False, True])
def test_the_filter_decides_as_it_says(machine: str, shared_root: bool) -> None:  # noqa: FBT001 - a parameter of the test
    program = seccomp.program(shared_root=shared_root, machine=machine)
    table = ARCHITECTURES[machine].table
    special = seccomp.SHARED_ROOT if shared_root else seccomp.COMMON

    for name, number in table.items():
        if name not in special:
            assert decide(program, machine, number) == ALLOW, name
    assert decide(program, machine, table["socket"], 2) != ALLOW
    assert (decide(program, machine, table["socket"], 1) == ALLOW) is not shared_root
    assert decide(program, machine, table["clone"], 17) == ALLOW
    assert decide(program, machine, table["clone"], 17 | 0x10000000) == EPERM
    assert decide(program, machine, table["clone3"]) == ENOSYS
    assert decide(program, machine, UNSHARE[machine], 0x10000000) == EPERM
    assert decide(program, machine, PTRACE[machine]) == EPERM
    assert decide(program, machine, 9999) == ENOSYS
    assert decide(program, machine, 0x40000000 + table["read"]) == ENOSYS
    assert len(program) // 8 <= 4096  # the kernel's limit


def test_an_unknown_processor_is_named() -> None:
    with pytest.raises(UnknownProcessorError, match="s390x"):
        seccomp.program(shared_root=False, machine="s390x")


def test_a_level_below_the_minimum_is_not_chosen(tmp_path: Path) -> None:
    require("landlock")
    found = environment.find(environment_place())
    with pytest.raises(UnavailableError, match="landlock is below the minimum"):
        prepare("bwrap", "landlock", found, tmp_path, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts sessions as other users")
def test_what_is_mounted_for_other_users_can_not_be_cleared_away(tmp_path: Path) -> None:
    """In a process of its own, for mounts stay with whoever made them."""
    hidden = tmp_path / "home"
    for part in ("prefix", "packages", "fonts"):
        (hidden / part).mkdir(parents=True)
        (hidden / part / "kept").write_text("still here")
    hidden.chmod(0o700)

    done = subprocess.run(
        [sys.executable, "-c", MOUNT_AND_CLEAR, str(hidden), str(tmp_path / "mounts")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout == "mounted\n", done.stderr
    assert "Read-only file system" in done.stderr
    assert {part.read_text() for part in hidden.rglob("kept")} == {"still here"}
    assert len([*hidden.rglob("kept")]) == 3


def test_a_level_that_is_not_to_be_had_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("landlock")
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(UnavailableError, match=r"bwrap: .*s390x.*; landlock: .*s390x"):
        prepare("landlock", None, environment.find(environment_place()), tmp_path, None)


def test_half_an_environment_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoEnvironmentError, match="assistantd sandbox-environment"):
        environment.find(tmp_path)
    (tmp_path / environment.STAMP).write_text('{"prefix": "/nowhere", "version": "3.11"}')
    with pytest.raises(NoEnvironmentError, match="a Python that is gone"):
        environment.find(tmp_path)


@pytest.fixture(scope="module")
def landlocked(place: Path) -> Iterator[SandboxService]:
    require("landlock")
    root = place / "landlocked"
    root.mkdir(mode=0o711)
    started = SandboxService(root, level="landlock", minimum="landlock", warm=1).start()
    yield started
    assert started.stop() == 0


async def test_landlock_does_the_usual_work(landlocked: SandboxService) -> None:
    async with landlocked.client() as client:
        session = await client.open(uuid4().hex)
        await session.put("a.csv", b"x,y\n1,2\n3,4\n")
        code = """
import pandas as pd, matplotlib.pyplot as plt, shutil
frame = pd.read_csv("/mnt/data/a.csv")
frame.plot(x="x", y="y")
plt.savefig("/mnt/data/plot.png")
shutil.copy("/mnt/data/a.csv", "/mnt/data/copy.csv")
frame["y"].sum()
"""
        heard = await run(session, code)
        assert heard.text("result") == "6\n" or heard.text("result") == "np.int64(6)\n", heard.events
        assert heard.text("stderr") == ""
        assert len(heard.images) == 1
        assert {file.name for file in await session.files()} == {"a.csv", "copy.csv", "plot.png"}
        assert await value(session, "import os\nos.getcwd()") == "'/mnt/data'"
        assert "/mnt/data/none" in (await run(session, "open('/mnt/data/none')")).failure.traceback
        assert (await run(session, "while True: pass", seconds=1)).done.status == "interrupted"
        assert await value(session, "len(frame)") == "2"
        assert (await run(session, "import os; os._exit(1)")).done.is_lost


GIB = 1024 * 1024 * 1024


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, 8 * GIB),
        ({"memory.max": "max", "memory.current": GIB, "memory.stat": "anon 1"}, 8 * GIB),
        ({"memory.max": 4 * GIB, "memory.current": 3 * GIB, "memory.stat": f"anon 1\ninactive_file {GIB}"}, 2 * GIB),
        ({"memory.max": GIB, "memory.current": GIB + 1, "memory.stat": "anon 1"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": 4 * GIB,
                "memory/memory.usage_in_bytes": GIB,
                "memory/memory.stat": "cache 1",
            },
            3 * GIB,
        ),
    ],
    ids=["no limit is known", "unlimited", "limited", "beyond the limit", "before version 2"],
)
def test_memory_is_that_of_the_container(tmp_path: Path, files: dict[str, object], left: int) -> None:
    """A service on a large machine under a small limit would otherwise take sessions until it is killed with all."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 1 kB\nMemAvailable: {8 * GIB // 1024} kB\n")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    assert processes.available_memory(meminfo, tmp_path) == left
