"""Which of a run's tools the model is offered, and as what: pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.tools import file_search

DEFINITIONS: Mapping[str, Mapping[str, Any]] = {file_search.NAME: file_search.DEFINITION}
"""Our own tools, by their type, which is also the name of the function."""


def functions(tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The tools of a run as chat completions take them."""
    return [DEFINITIONS.get(tool["type"], tool) for tool in tools if tool["type"] in {"function", *DEFINITIONS}]


def own(tools: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Names of the functions that are ours to carry out."""
    return frozenset(tool["type"] for tool in tools) & DEFINITIONS.keys()


def choice(wanted: Any, *, met: bool) -> Any:
    """A run's `tool_choice` as chat completions take it; `met` says that a tool was called already, after which a
    choice that forces a call would go on for ever.
    """
    if isinstance(wanted, str):
        return "auto" if met and wanted == "required" else wanted
    if met or wanted["type"] not in {"function", *DEFINITIONS}:
        return "auto"
    return wanted if wanted["type"] == "function" else {"type": "function", "function": {"name": wanted["type"]}}


def begun(call: Mapping[str, Any], ours: frozenset[str]) -> dict[str, Any]:
    """A call that the model made, as a step keeps it while it has no output yet."""
    function = call["function"]
    if function["name"] in ours:
        kind = function["name"]
        return {"id": call["id"], "type": kind, kind: {}, "arguments": function["arguments"]}
    return {**call, "function": {**function, "output": None}}
