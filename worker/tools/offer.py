"""Which of a run's tools the model is offered, and as what: pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.tools import code_input, code_interpreter, file_search

OURS = frozenset({file_search.NAME, code_interpreter.NAME})
"""Our own tools, by their type, which is also the name of the function."""


def functions(tools: Sequence[Mapping[str, Any]], code_files: Sequence[str] = ()) -> list[Mapping[str, Any]]:
    """The tools of a run as chat completions take them; `code_files` are the names of the files that code finds."""
    definitions = {
        file_search.NAME: file_search.DEFINITION,
        code_interpreter.NAME: code_interpreter.definition(code_files),
    }
    return [definitions.get(tool["type"], tool) for tool in tools]


def own(tools: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Names of the functions that are ours to carry out."""
    return OURS & {tool["type"] for tool in tools}


def choice(wanted: Any, tools: Sequence[Mapping[str, Any]], *, met: bool) -> Any:
    """A run's `tool_choice` as chat completions take it; `met` says that a tool was called already, after which a
    choice that forces a call would go on for ever. One of our tools that the run doesn't have is no choice.
    """
    if isinstance(wanted, str):
        return "auto" if met and wanted == "required" else wanted
    if met or wanted["type"] in OURS - own(tools):
        return "auto"
    return wanted if wanted["type"] == "function" else {"type": "function", "function": {"name": wanted["type"]}}


def begun(call: Mapping[str, Any], ours: frozenset[str]) -> dict[str, Any]:
    """A call that the model made, as a step keeps it while it has no output yet."""
    function = call["function"]
    if function["name"] in ours:
        kind, arguments = function["name"], function["arguments"]
        code = {"input": code_input.whole(arguments), "outputs": []}
        begun = code if kind == code_interpreter.NAME else {}
        return {"id": call["id"], "type": kind, kind: begun, "arguments": arguments}
    return {**call, "function": {**function, "output": None}}
