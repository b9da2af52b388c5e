"""Runs that wait for a slow model: how many one worker process holds, what each costs, what a fresh run feels of it."""

import time

from tests.benchmarks import load, processes
from tests.benchmarks.bench import Bench, Subject, wait_until
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.load import Load
from tests.benchmarks.spread import Spread

FIGURES = (
    Figure("held", "", "runs held at once by one worker process, upstream takes 30 s", at_least=1500),
    Figure("held_kb", "kB", "memory of the worker for each of them (PSS)", at_most=60),
    Figure("held_rss_mb", "MB", "the worker's resident memory meanwhile", at_most=250),
    Figure("stream_kb", "kB", "memory of the API for each open stream (PSS)"),
    Figure("held_cpu_percent", "%", "CPU of API + worker meanwhile"),
    Figure("busy_first_token_ratio", "times", "first token of a fresh run meanwhile, vs. idle (medians)", at_most=2),
    Figure("busy_first_token_p99_ms", "ms", "first token of a fresh run meanwhile, p99", at_most=60),
)
SLOTS = 2000  # WORKER_CONCURRENCY; the default of 1,000 is less than is to be held
ARRIVALS = 200  # a second


def _measure(bench: Bench) -> Values:
    sizes, subject = bench.sizes, bench.subject(worker_concurrency=str(SLOTS))
    idle = _first_token(subject, sizes.fresh)
    before = {name: processes.pss_mb(subject.pids[name]) for name in ("api", "worker")}
    slow = f"over-{sizes.held_for:g}"
    loads = [
        Load(subject.plan("streamed", sizes.streams, rate=ARRIVALS, model=slow)),
        Load(subject.plan("created", sizes.held - sizes.streams, clients=10, model=slow)),
    ]
    try:
        most = [0]

        def all_held() -> bool:
            most.append(bench.upstream.held())
            return most[-1] >= sizes.held or most[-1] < max(most)  # or as many as there will ever be

        wait_until(all_held)
        values = _memory(subject, before, sizes.streams, max(most))
        cpu, began = subject.cpu_s(), time.monotonic()
        time.sleep(sizes.held_for / 10)
        used = sum(subject.cpu_s()[name] - cpu[name] for name in ("api", "worker"))
        values["held_cpu_percent"] = Measured(used / (time.monotonic() - began) * 100)
        busy = _first_token(subject, sizes.fresh)
        still = f"{bench.upstream.held()} still held at the end"
    finally:
        for one in loads:
            one.kill()
        bench.discard()
    beside = f"{busy.median:.1f} ms and {idle.median:.1f} ms"
    return values | {
        "busy_first_token_ratio": Measured(busy.median / idle.median, f"{beside}; {still}"),
        "busy_first_token_p99_ms": Measured(busy.percentile(99), f"idle {idle.percentile(99):.1f}; {busy}"),
    }


def _first_token(subject: Subject, runs: int) -> Spread:
    return load.run(subject.plan("streamed", runs)).spread_ms("sent", "first")


def _memory(subject: Subject, before: dict[str, float], streams: int, held: int) -> dict[str, Measured]:
    after = {name: processes.pss_mb(subject.pids[name]) for name in before}
    grown = {name: (after[name] - before[name]) * 1024 for name in before}
    return {
        "held": Measured(held),
        "held_kb": Measured(grown["worker"] / held, f"PSS {before['worker']:.0f} → {after['worker']:.0f} MB"),
        "held_rss_mb": Measured(processes.rss_mb(subject.pids["worker"]), f"PSS {after['worker']:.0f} MB"),
        "stream_kb": Measured(grown["api"] / streams, f"PSS {before['api']:.0f} → {after['api']:.0f} MB"),
    }


HOLDING = Measurement("holding", FIGURES, _measure)
