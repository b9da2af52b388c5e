"""What sealing content costs a run: two systems, of which one has a master key, in short turns, so that whatever else
the machine does is done to both.
"""

from statistics import median

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.measurements.cost import CLIENTS, observed

FIGURES = (Figure("sealing_percent", "%", "what sealing content adds to the CPU of a streamed run", at_most=5),)
SHARE = 5  # of a flood is a turn


def _sealing(bench: Bench) -> Values:
    with bench.beside(sealed=True) as sealed, bench.beside(sealed=False) as plain:
        spent: dict[str, list[float]] = {"sealed": [], "plain": []}
        for turn in range(bench.sizes.turns):
            order = [("sealed", sealed), ("plain", plain)]
            for name, subject in order if turn % 2 else order[::-1]:
                cpu, _ = observed(subject, subject.plan("streamed", bench.sizes.flood // SHARE, clients=CLIENTS))
                spent[name].append(cpu.value)
    more = [(one / other - 1) * 100 for one, other in zip(spent["sealed"], spent["plain"], strict=True)]
    means = ", ".join(f"{name} {sum(ms) / len(ms):.2f} ms" for name, ms in spent.items())
    turns = f"from {min(more):.1f} to {max(more):.1f} in {len(more)} turns"
    return {"sealing_percent": Measured(median(more), f"{turns}; {means}")}


SEALING = Measurement("sealing", FIGURES, _sealing)
