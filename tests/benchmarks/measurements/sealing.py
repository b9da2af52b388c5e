"""What sealing content costs a run: the same system with a master key and without, in turns."""

from collections.abc import Sequence
from statistics import median

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.measurements.cost import CLIENTS, observed

FIGURES = (Figure("sealing_percent", "%", "what sealing content adds to the CPU of a streamed run", at_most=5),)


def _sealing(bench: Bench) -> Values:
    spent: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(bench.sizes.turns):
        for sealed in (True, False) if turn % 2 else (False, True):
            subject = bench.subject(sealed=sealed)
            cpu, _ = observed(subject, subject.plan("streamed", bench.sizes.flood, clients=CLIENTS))
            spent[sealed].append(cpu.value)
    sealed, plain = median(spent[True]), median(spent[False])
    beside = f"{_told(spent[True])} ms, without {_told(spent[False])}"
    return {"sealing_percent": Measured((sealed / plain - 1) * 100, beside)}


def _told(turns: Sequence[float]) -> str:
    return ", ".join(f"{ms:.2f}" for ms in turns)


SEALING = Measurement("sealing", FIGURES, _sealing)
