"""What clients were promised and what they saw, and what the model was asked: the outside view of each run."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a client does with a run."""

    STREAMED = "streamed"
    POLLED = "polled"
    TOOLS = "tools"
    CANCELLED = "cancelled"
    CODE = "code"
    FILES = "files"


@dataclass
class Story:
    """One run as its client knows it. `name` is in the thread's message, so that the model can tell runs apart."""

    name: str
    kind: Kind
    run_id: str = ""
    thread_id: str = ""
    store_id: str | None = None
    cancel_acknowledged: bool = False
    took_s: float = 0.0
    status: str | None = None
    """The terminal status that it saw, by stream or poll."""
    ended_by_stream: bool = False
    messages: dict[str, str] = field(default_factory=dict[str, str])
    """Texts of the messages that a stream said were completed."""


@dataclass
class Told:
    """An answer that said what it costs: the model gave it, or was about to end it when its worker left."""

    name: str
    """The run's."""
    worker: str
    at: float
    """When it said what it costs, by time.time()."""
    cached: int
    said: int
    whole: bool = False
    """Was all of it handed over?"""


@dataclass
class Ledger:
    """Everything that was seen from outside."""

    promised: list[Story] = field(default_factory=list[Story])
    """Runs whose ids were answered."""
    given_up: list[Story] = field(default_factory=list[Story])
    """Promised runs whose clients saw no end within their patience."""
    offences: list[str] = field(default_factory=list[str])
    """What a client saw that it should never see, one sentence each."""
    deaths: list[str] = field(default_factory=list[str])
    """Processes that ended although nobody ended them, with their last words."""
    counts: Counter[str] = field(default_factory=Counter[str])
    refusals: Counter[str] = field(default_factory=Counter[str])
    """Why requests had to be tried again."""
    asked: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter[int]))
    """How often the model was asked for each turn, by the run's name."""
    told: dict[int, Told] = field(default_factory=dict[int, Told])
    """Answers by the number of their prompts' tokens, which no two have in common."""

    def offend(self, story: Story, sentence: str) -> None:
        """Note an offence."""
        self.offences.append(f"{story.run_id} ({story.kind}): {sentence}")
