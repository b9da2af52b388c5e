"""What the table is made of: figures with what is required of them, and what was measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: its key in JSON, its unit, and the bound that it is to keep, if there is one."""

    key: str
    unit: str
    meaning: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def required(self) -> str:
        """The bound in print."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"

    def reached(self, value: float) -> bool | None:
        """Whether a value keeps the bound; None where there is none."""
        if self.at_most is not None:
            return value <= self.at_most
        return None if self.at_least is None else value >= self.at_least


@dataclass(frozen=True, slots=True)
class Measured:
    """A value, and whatever else is worth a look beside it."""

    value: float
    beside: str = ""


Values = Mapping[str, Measured]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured together: `measure` returns a value for each of the figures."""

    name: str
    figures: tuple[Figure, ...]
    measure: "Callable[[Bench], Values]"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured; `short` is enough to see that everything runs, and its figures mean nothing."""

    in_turn: int = 100  # runs one after the other
    flood: int = 2000  # runs by 50 clients
    turns: int = 15  # of two systems that are compared
    paced_s: float = 8
    held: int = 1500
    streams: int = 1000
    held_for: float = 30  # seconds that the upstream takes for one of those
    fresh: int = 200  # runs one after the other while those are held
    lost: int = 40
    victims: int = 4  # workers that hold those
    lease: timedelta | None = None  # None: the default setting
    messages: int = 100_000
    visits: int = 60  # of the thread with so many messages
    limits_s: float = 2
    statistics_after_s: float = 11  # an idle backend of Postgres reports its transactions after 10 seconds at most


SHORT = Sizes(
    in_turn=5,
    flood=60,
    turns=1,
    paced_s=0.5,
    held=30,
    streams=20,
    held_for=6,
    fresh=5,
    lost=5,
    victims=1,
    lease=timedelta(seconds=3),
    messages=500,
    visits=4,
    limits_s=0.2,
    statistics_after_s=0.5,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A figure as it came out. `problem` says why there is none."""

    figure: Figure
    measured: Measured | None
    load: float  # of the machine over the last minute, this benchmark's included
    problem: str = field(default="")
