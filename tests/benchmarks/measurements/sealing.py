"""What sealing content costs a run: two systems, of which one has a master key, in short turns. Whatever else the
machine does only adds to a turn, so what the better ones took is compared: a quarter took less.
"""

from collections.abc import Sequence

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
    told = ", ".join(f"{name} {_quiet(ms):.2f} ms (to {max(ms):.2f})" for name, ms in spent.items())
    more = (_quiet(spent["sealed"]) / _quiet(spent["plain"]) - 1) * 100
    return {"sealing_percent": Measured(more, f"{told} in {bench.sizes.turns} turns each")}


def _quiet(turns: Sequence[float]) -> float:
    """The quarter below which the machine did little else."""
    return sorted(turns)[len(turns) // 4]


SEALING = Measurement("sealing", FIGURES, _sealing)
