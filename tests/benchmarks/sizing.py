"""`python -m tests.benchmarks.sizing`: how many workers a load wants, how long runs wait for one, and what it costs.

A day is gone through second by second, with as many runs in each as a site has that is busy at noon, quiet at night,
and three times as busy for a minute of every hour. What a worker can take is what `poe bench` measures: processor time
of a run, which bounds how many it begins in a second, and `WORKER_CONCURRENCY`. Workers come and go by the rules of the
chart's ScaledObject, which are read from its `values.yaml`, and by those of Kubernetes' autoscaler in its template.
Runs are counted, not told apart: waits are those of a queue in which the oldest is served first.
"""

import argparse
import math
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

VALUES = Path(__file__).parents[2] / "infra/helm/assistantd/values.yaml"
DAY = 86_400
SWING = 0.7  # noon is so much busier than the mean, night so much quieter
BURST, BURST_EVERY, BURST_S = 3.0, 3600, 60
SHARE = 0.7  # of a core that a worker's runs may keep busy: beyond that all of them become slow
UP_EVERY_S, UP_PODS = 15, 4  # the autoscaler doubles, or adds so many, in so many seconds
DOWN_EVERY_S, DOWN_SHARE = 60, 0.1
SPREAD = 0.8  # of the logarithm of how long a run takes
LONGEST = 20  # times the median


@dataclass(frozen=True)
class Load:
    """What comes, and what a worker can do with it."""

    rate: float  # runs a second, in the mean of a day
    run_s: float = 5.0  # median, nearly all of it the model's
    cpu_ms: float = 7.0  # of a worker, for one run
    concurrency: int = 1000
    start_s: int = 20  # from the wish for a worker to its first run


@dataclass(frozen=True)
class Rules:
    """When workers come and go."""

    least: int
    most: int
    runs_per_worker: int
    polling_s: int
    stabilization_s: int

    @classmethod
    def of_chart(cls, values: Path = VALUES) -> "Rules":
        """Those that the chart has."""
        told: dict[str, Any] = yaml.safe_load(values.read_text())["worker"]["autoscaling"]
        return cls(
            told["minReplicas"],
            told["maxReplicas"],
            told["runsPerWorker"],
            told["pollingInterval"],
            told["stabilization"],
        )


@dataclass
class Outcome:
    """Of one day."""

    workers: list[int] = field(default_factory=list[int])
    """In each second."""
    waits: dict[int, float] = field(default_factory=dict[int, float])
    """How many runs waited so many seconds."""

    def wait(self, share: float) -> int:
        """Seconds that this share of the runs did not wait longer than."""
        total, seen = sum(self.waits.values()), 0.0
        for seconds in sorted(self.waits):
            seen += self.waits[seconds]
            if seen >= share * total:
                return seconds
        return 0

    @property
    def worker_hours(self) -> float:
        return sum(self.workers) / 3600


class Workers:
    """How many there are: those that work, and those that are being started."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.ready = rules.least
        self._coming = deque[int]()  # when
        self._wanted = deque[tuple[int, int]]()  # when, how many
        self._raised_at = self._lowered_at = 0

    def look(self, now: int, runs: float, start_s: int) -> None:
        """One second: let those begin that are ready, and look whether there should be more or fewer."""
        while self._coming and self._coming[0] <= now:
            self._coming.popleft()
            self.ready += 1
        if now % self._rules.polling_s:
            return
        wanted = min(max(math.ceil(runs / self._rules.runs_per_worker), self._rules.least), self._rules.most)
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - self._rules.stabilization_s:
            self._wanted.popleft()
        there = self.ready + len(self._coming)
        if wanted > there and now >= self._raised_at + UP_EVERY_S:
            self._coming.extend([now + start_s] * min(wanted - there, max(there, UP_PODS)))
            self._raised_at = now
        most_wanted = max(wanted for _, wanted in self._wanted)
        if most_wanted < there and not self._coming and now >= self._lowered_at + DOWN_EVERY_S:
            self.ready -= min(there - most_wanted, max(1, int(there * DOWN_SHARE)))
            self._lowered_at = now


def day(load: Load, rules: Rules, seconds: int = DAY) -> Outcome:
    """Go through it."""
    outcome, workers = Outcome(), Workers(rules)
    lasting = list(_durations(load.run_s))
    ends = deque([0.0] * len(lasting))
    queue = deque[list[float]]()  # when they came, how many are left
    active = queued = 0.0
    for now in range(seconds):
        active -= ends.popleft()
        ends.append(0.0)
        come = arrivals(load.rate, now)
        queue.append([now, come])
        queued += come
        workers.look(now, queued + active, load.start_s)
        room = workers.ready * load.concurrency - active
        begun = left = max(0.0, min(queued, room, workers.ready * SHARE * 1000 / load.cpu_ms))
        while left > 0 and queue:
            taken = min(left, queue[0][1])
            waited = now - int(queue[0][0])
            outcome.waits[waited] = outcome.waits.get(waited, 0.0) + taken
            queue[0][1] -= taken
            left -= taken
            if queue[0][1] <= 0:
                queue.popleft()
        queued -= begun
        active += begun
        for after, share in enumerate(lasting):
            ends[after] += begun * share
        outcome.workers.append(workers.ready)
    return outcome


def arrivals(rate: float, now: int) -> float:
    """Runs that come in this second of the day; it begins at midnight."""
    busy = 1 - SWING * math.cos(2 * math.pi * now / DAY)
    return rate * busy * (BURST if now % BURST_EVERY < BURST_S and now >= BURST_EVERY else 1)


def _durations(median: float) -> Iterator[float]:
    """Which share of runs ends in each second after the one in which it began."""
    places = range(max(2, int(median * LONGEST)))
    below = [0.5 * (1 + math.erf(math.log((place + 1) / median) / (SPREAD * math.sqrt(2)))) for place in places]
    for before, up_to in zip([0.0, *below], [*below[:-1], 1.0], strict=False):
        yield up_to - before


def table(rates: Sequence[float], load: Load, rules: Rules, price: float) -> Iterator[str]:
    """One line for each rate."""
    yield f"runs of {load.run_s:g} s (median), {load.cpu_ms:g} ms of a worker's core each; {rules}"
    names = f"{'runs/s':>8} {'workers, mean':>14} {'most':>6} {'wait p50, s':>12} {'p95':>6} {'p99':>6}"
    yield f"{names} {'$/day':>8} {'$/1M runs':>10}"
    for rate in rates:
        found = day(Load(rate, load.run_s, load.cpu_ms, load.concurrency, load.start_s), rules)
        cost = found.worker_hours * price
        waits = " ".join(f"{found.wait(share):>{width}}" for share, width in ((0.5, 12), (0.95, 6), (0.99, 6)))
        mean, most = sum(found.workers) / len(found.workers), max(found.workers)
        yield f"{rate:>8g} {mean:>14.1f} {most:>6} {waits} {cost:>8.2f} {cost / (rate * DAY) * 1e6:>10.3f}"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sizing", description=__doc__)
    parser.add_argument("--rates", default="10,100,1000", help="runs a second, in the mean of a day")
    parser.add_argument("--run", type=float, default=Load.run_s, help="seconds of a run, median")
    parser.add_argument(
        "--cpu", type=float, default=Load.cpu_ms, help="milliseconds of a worker's processor time for one"
    )
    parser.add_argument("--start", type=int, default=Load.start_s, help="seconds until a new worker works")
    parser.add_argument("--price", type=float, default=0.04, help="dollars for a worker's core and memory, an hour")
    given = parser.parse_args()
    load = Load(0, given.run, given.cpu, start_s=given.start)
    print(*table([float(rate) for rate in given.rates.split(",")], load, Rules.of_chart(), given.price), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
