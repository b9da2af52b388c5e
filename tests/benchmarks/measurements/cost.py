"""Many runs at a time: how many a second, and the CPU time that each group of processes spends on one."""

from collections.abc import Mapping, Sequence

from tests.benchmarks import load
from tests.benchmarks.bench import Bench, Subject
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.load import Load, Plan, Report

CLIENTS = 50
RATE = 80
PACE = "over-0.4"

FLOOD_FIGURES = (
    Figure("runs_per_s", "/s", f"runs a second, {CLIENTS} clients, streaming", at_least=180),
    Figure("cpu_ms", "ms", "CPU of API + worker, streamed thread-and-run", at_most=6),
)
PACED_FIGURES = (
    Figure("paced_cpu_ms", "ms", f"the same, 20 tokens over 400 ms, {RATE}/s arriving", at_most=10),
    Figure("paced_completed_ms", "ms", "POST run → completed at that rate"),
)
POLLED_FIGURES = (
    Figure("polled_cpu_ms", "ms", "the same as thread + message + run + polls", at_most=10),
    Figure("polled_runs_per_s", "/s", f"runs a second that way, {CLIENTS} clients"),
)


def _flood(bench: Bench) -> Values:
    subject = bench.subject()
    cpu, report = observed(subject, subject.plan("streamed", bench.sizes.flood, clients=CLIENTS))
    waited = report.spread_ms("sent", "completed")
    return {
        "runs_per_s": Measured(len(report.marks) / report.wall_s, f"each took {waited.median:.0f} ms, {waited}"),
        "cpu_ms": cpu,
    }


def _paced(bench: Bench) -> Values:
    subject, arrivals = bench.subject(), round(RATE * bench.sizes.paced_s)
    cpu, report = observed(subject, subject.plan("streamed", arrivals, rate=RATE, model=PACE))
    waited = report.spread_ms("sent", "completed")
    return {"paced_cpu_ms": cpu, "paced_completed_ms": Measured(waited.median, str(waited))}


def _polled(bench: Bench) -> Values:
    subject = bench.subject()
    cpu, report = observed(subject, subject.plan("polled", bench.sizes.flood // 2, clients=CLIENTS))
    polls = sum(marks["polls"] for marks in report.marks) / len(report.marks)
    return {
        "polled_cpu_ms": cpu,
        "polled_runs_per_s": Measured(len(report.marks) / report.wall_s, f"{polls:.1f} polls a run"),
    }


def observed(subject: Subject, plan: Plan) -> tuple[Measured, Report]:
    """Carry out a plan; returns with it what API and worker spent on a call, and beside it every group's share."""
    before = subject.cpu_s()
    report = load.run(plan)
    spent = _spent(subject, before, report)
    groups = ", ".join(f"{name} {ms:.2f}" for name, ms in spent.items())
    return Measured(spent["api"] + spent["worker"], groups), report


def side_by_side(plans: Sequence[tuple[Subject, Plan]]) -> list[float]:
    """Carry out plans at the same time; returns what API and worker of each subject spent on a call, in ms."""
    before = [subject.cpu_s() for subject, _ in plans]
    under_way = [Load(plan) for _, plan in plans]
    try:
        reports = [one.report() for one in under_way]
    finally:
        for one in under_way:
            one.kill()
    seen = zip(plans, before, reports, strict=True)
    spent = [_spent(subject, earlier, report) for (subject, _), earlier, report in seen]
    return [groups["api"] + groups["worker"] for groups in spent]


def _spent(subject: Subject, before: Mapping[str, float], report: Report) -> dict[str, float]:
    """CPU time of a call by each group of processes, in ms."""
    spent = {name: (now - before[name]) / len(report.marks) * 1000 for name, now in subject.cpu_s().items()}
    return spent | {"client": report.cpu_s / len(report.marks) * 1000}


FLOOD = Measurement("flood", FLOOD_FIGURES, _flood)
PACED = Measurement("paced", PACED_FIGURES, _paced)
POLLED = Measurement("polled", POLLED_FIGURES, _polled)
