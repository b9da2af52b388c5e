"""What is asked of the endpoint for one turn: pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.database import Row
from worker.runs.context import Chat

PASSED_ON = ("temperature", "top_p", "reasoning_effort")


def request(
    run: Row, model: str, messages: Sequence[Chat], *, counts_as: str, budget: int | None, called: bool
) -> dict[str, Any]:
    """Arguments of `chat.completions.create`. What the client left open is left out, for the endpoint to decide.

    `counts_as` is the parameter that limits the answer to `budget` tokens; `called` says that the run has called tools
    already, after which a choice that forces a call is met and would go on for ever.
    """
    asked: dict[str, Any] = {"model": model, "messages": messages}
    asked |= {name: run[name] for name in PASSED_ON if run[name] is not None}
    if budget is not None:
        asked[counts_as] = budget
    if isinstance(run["response_format"], Mapping) and run["response_format"]["type"] != "text":
        asked["response_format"] = run["response_format"]
    functions = [tool for tool in run["tools"] if tool["type"] == "function"]
    if functions:
        asked["tools"] = functions
        asked["tool_choice"] = _choice(run["tool_choice"], called=called)
        if not run["parallel_tool_calls"]:
            asked["parallel_tool_calls"] = False
    return asked


def _choice(choice: Any, *, called: bool) -> Any:
    """Chat completions know words and functions; tools of ours are not theirs to choose."""
    if isinstance(choice, Mapping) and choice.get("type") != "function":  # pyright: ignore[reportUnknownMemberType]
        return "auto"
    forced = choice == "required" or isinstance(choice, Mapping)
    return "auto" if forced and called else choice
