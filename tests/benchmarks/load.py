"""The load client as seen from the benchmark: a plan in, a report out."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from tests.benchmarks.calls import Marks
from tests.benchmarks.spread import Spread


class LoadFailed(Exception):
    """Calls failed, so there is no figure; the message names the first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """So many calls of one kind, by `clients` that wait for their answers or arriving at a `rate` a second."""

    call: str
    calls: int
    port: int
    key: str = "none"
    assistant_id: str = ""
    model: str = "over-0"
    clients: int = 1
    rate: float | None = None
    threads: Sequence[str] = field(default_factory=list[str])  # one call each, in place of `calls`


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a plan."""

    marks: Sequence[Marks]
    errors: Sequence[str]
    wall_s: float
    cpu_s: float

    def spread_ms(self, since: str, until: str) -> Spread:
        """How long it took from one mark to another."""
        return Spread([(marks[until] - marks[since]) * 1000 for marks in self.marks])


class Load:
    """A load client that is under way."""

    def __init__(self, plan: Plan) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if self._popen.stdin is not None:
            with self._popen.stdin as stdin:
                stdin.write(orjson.dumps(plan))

    def report(self) -> Report:
        """Wait for its end. Raises LoadFailed if a call failed, or the client itself."""
        if self._popen.stdout is None:
            raise LoadFailed("the client has no output")
        with self._popen.stdout as stdout:
            output = stdout.read()
        if self._popen.wait() != 0:
            raise LoadFailed(f"the client ended with {self._popen.returncode}")
        report = Report(**orjson.loads(output))
        if report.errors:
            raise LoadFailed(f"{len(report.errors)} of the calls failed, the first with {report.errors[0]}")
        return report

    def kill(self) -> None:
        """Hang up on everybody."""
        self._popen.kill()
        self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()


def run(plan: Plan) -> Report:
    """Carry out a plan. Raises LoadFailed."""
    return Load(plan).report()
