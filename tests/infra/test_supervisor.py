"""The supervisor with tiny parts: real processes that do one thing each."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from infra.embedded import process
from infra.part import Part
from infra.stack.program import Program, Task
from infra.stack.supervisor import MAX_DEATHS, StackError, StoppedError, Supervisor

READY = """
import fcntl, os, pathlib, signal, socket, sys, time
def ready():
    name = os.environ["NOTIFY_SOCKET"].replace("@", "\\0")
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", name)
"""

Make = Callable[..., Program]


class Told:
    """What the supervisor said."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, what: str) -> None:
        self.lines.append((name, what.partition(" (")[0]))

    def of(self, *whats: str) -> list[tuple[str, str]]:
        return [line for line in self.lines if line[1] in whats]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def program(
        name: str,
        code: str = "ready(); time.sleep(600)",
        *,
        kind: type[Program] = Program,
        after: Sequence[str] = (),
        grace: timedelta = timedelta(seconds=20),
    ) -> Program:
        environment = {**os.environ, "HERE": str(tmp_path)}
        command = [sys.executable, "-c", READY + code]
        return kind(name, command, log=tmp_path / f"{name}.log", environment=environment, after=after, grace=grace)

    return program


def supervise(told: Told, *stages: Sequence[Part]) -> Supervisor:
    return Supervisor(stages, told, on_change=lambda: None)


def run(supervisor: Supervisor) -> None:
    """Start and watch until somebody asks for the end."""
    with contextlib.suppress(StoppedError):
        supervisor.start()
        supervisor.run()


def test_what_cannot_be_had_here_is_done_without(make: Make, told: Told) -> None:
    lacking = make("lacking", "print('no such kernel'); sys.exit(2)")
    lacking.dispensable = True
    supervisor = supervise(told, [make("first")], [lacking])
    with supervisor.session():
        supervisor.start()
    assert ("lacking", "can't be had here: no such kernel") in told.lines
    assert told.of("starting") == [("first", "starting"), ("lacking", "starting")]
    assert told.of("stopping") == [("first", "stopping")]


def test_parts_start_together_and_stop_in_order(make: Make, told: Told) -> None:
    supervisor = supervise(told, [make("first")], [make("second"), make("third")])
    with supervisor.session():
        supervisor.start()
    assert sorted(told.of("ready")) == [("first", "ready"), ("second", "ready"), ("third", "ready")]
    assert told.of("stopping") == [("second", "stopping"), ("third", "stopping"), ("first", "stopping")]


def test_a_part_goes_on_when_what_it_needs_is_ready(make: Make, told: Told) -> None:
    task = make("task", "print(sys.stdin.read() + ' world')", kind=Task, after=["base"])
    last = make("last", "sys.stdin.read(); ready(); time.sleep(600)", after=["task"])
    supervisor = supervise(told, [make("base")], [task], [last])
    with supervisor.session():
        supervisor.start({"task": "hello"})
    assert told.of("ready", "done") == [("base", "ready"), ("task", "done"), ("last", "ready")]
    assert isinstance(task, Task)
    assert task.output == "hello world\n"


def test_a_task_that_fails_ends_the_start_with_its_last_words(make: Make, told: Told) -> None:
    supervisor = supervise(told, [make("task", "sys.exit('no such table')", kind=Task)])
    with pytest.raises(StackError, match=r"task ended with status 1(.|\n)*no such table"), supervisor.session():
        supervisor.start()


def test_a_part_that_dies_is_started_again(make: Make, told: Told, tmp_path: Path) -> None:
    dies_twice = """
path = pathlib.Path(os.environ["HERE"], "starts")
with path.open("a") as file: file.write("x")
ready()
if path.stat().st_size < 3: os.kill(os.getpid(), signal.SIGKILL)
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(600)
"""
    supervisor = supervise(told, [make("part", dies_twice)])
    with supervisor.session():
        run(supervisor)
    assert (tmp_path / "starts").read_text() == "xxx"
    assert told.of("killed by SIGKILL; starting it again in 0.25 s", "killed by SIGKILL; starting it again in 0.5 s")


def test_a_part_that_keeps_dying_ends_the_stack(make: Make, told: Told) -> None:
    supervisor = supervise(told, [make("well")], [make("ill", "print('out of memory'); ready(); sys.exit(3)")])
    five_deaths = r"ill ended with status 3, 5 times within 60 s(.|\n)*out of memory"
    with pytest.raises(StackError, match=five_deaths), supervisor.session():
        run(supervisor)
    assert len([line for line in told.lines if line == ("ill", "starting")]) == MAX_DEATHS
    assert told.of("stopping") == [("well", "stopping")]


STUBBORN = """
signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getppid(), signal.SIGUSR1))
ready()
while True: time.sleep(600)
"""


def test_a_part_that_ignores_its_signal_is_killed(make: Make, told: Told) -> None:
    ignores = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)"
    supervisor = supervise(told, [make("stubborn", ignores, grace=timedelta(milliseconds=100))])
    with supervisor.session():
        supervisor.start()
    assert told.of("does not stop; killing it")


def test_a_second_signal_hurries(make: Make, told: Told) -> None:
    asks_again = STUBBORN.replace("SIGUSR1", "SIGINT")
    supervisor = supervise(told, [make("stubborn", asks_again, grace=timedelta(minutes=10))])
    with supervisor.session():
        supervisor.start()
    assert told.of("killing it")


def test_no_child_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    locks = [tmp_path / "one", tmp_path / "two"]
    holds = READY + "f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); ready(); time.sleep(600)"
    script = f"""
import os, pathlib, sys
from infra.stack.program import Program
from infra.stack.supervisor import Supervisor
parts = [
    Program(name, [sys.executable, "-c", {holds!r}, name], log=pathlib.Path(name + ".log"), environment=os.environ)
    for name in sys.argv[1:]
]
supervisor = Supervisor([parts], lambda *_: None, on_change=lambda: None)
with supervisor.session():
    supervisor.start()
    print("started", flush=True)
    supervisor.run()
"""
    with subprocess.Popen([sys.executable, "-c", script, *locks], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"started\n"
        assert process.hold(locks[0]) is None
        supervisor.send_signal(signal.SIGKILL)
    for path in locks:
        lock = process.hold(path, patience=timedelta(seconds=10))
        assert lock is not None, f"{path.name} outlived its supervisor"
        os.close(lock)
