"""What sealing content costs a run: two systems, of which one has a master key, under the same load at the same time,
so that whatever else the machine does falls upon both. Two that both seal differ by 1.5 % in a turn, by .5 in the mean.
"""

from statistics import mean

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.measurements.cost import CLIENTS, side_by_side

FIGURES = (Figure("sealing_percent", "%", "what sealing content adds to the CPU of a streamed run", at_most=5),)
SHARE = 3  # of a flood is a turn


def _sealing(bench: Bench) -> Values:
    with bench.beside(sealed=True) as sealed, bench.beside(sealed=False) as plain:
        spent: dict[str, list[float]] = {"sealed": [], "plain": []}
        for turn in range(bench.sizes.turns):
            order = [("sealed", sealed), ("plain", plain)][:: -1 if turn % 2 else 1]
            calls = bench.sizes.flood // SHARE
            plans = [(subject, subject.plan("streamed", calls, clients=CLIENTS // 4)) for _, subject in order]
            for (name, _), ms in zip(order, side_by_side(plans), strict=True):
                spent[name].append(ms)
    more = [(sealed / plain - 1) * 100 for sealed, plain in zip(*spent.values(), strict=True)]
    told = ", ".join(f"{name} {mean(ms):.2f} ms" for name, ms in spent.items())
    return {"sealing_percent": Measured(mean(more), f"{told}; {min(more):.1f} to {max(more):.1f} % in a turn")}


SEALING = Measurement("sealing", FIGURES, _sealing)
