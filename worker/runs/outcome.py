"""What a turn of the model can come to: a closed set."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finished:
    """The model has said all it wanted to."""


@dataclass(frozen=True, slots=True)
class NeedsClient:
    """The model called functions that the client executes."""

    calls: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Truncated:
    """A token limit was reached."""

    reason: Literal["max_completion_tokens", "max_prompt_tokens"]


Outcome = Finished | NeedsClient | Truncated
