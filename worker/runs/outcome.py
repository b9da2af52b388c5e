"""What a turn of the model can come to: a closed set."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finished:
    """The model has said all it wanted to."""


@dataclass(frozen=True, slots=True)
class CallsTools:
    """The model called tools that are ours to carry out, perhaps functions of the client beside them."""


@dataclass(frozen=True, slots=True)
class NeedsClient:
    """The model called functions that the client executes."""

    calls: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Truncated:
    """A token limit was reached."""

    reason: Literal["max_completion_tokens", "max_prompt_tokens"]


End = Finished | NeedsClient | Truncated
"""What ends a worker's part in the run."""

Outcome = End | CallsTools


class Failed(Exception):
    """The run can't go on; `code` and the message are those of its `last_error`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = self.error_type = code
        self.message = message
