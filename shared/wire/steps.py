"""Run steps on the wire."""

from collections.abc import Mapping
from typing import Any, Literal

from shared.runs.status import StepStatus
from shared.wire.fields import Dialect
from shared.wire.objects import Object, seconds

Includable = Literal["step_details.tool_calls[*].file_search.results[*].content"]
INCLUDABLE: Includable = "step_details.tool_calls[*].file_search.results[*].content"
"""What a client can ask for with `include[]`: the texts that file_search found."""


def step_object(row: Mapping[str, Any], dialect: Dialect, *, contents: bool = False) -> Object:
    """A row of `run_steps` as an OpenAI object; `contents` shows the texts that file_search found.

    `usage` is null until the end, which calls reach with their outputs.
    """
    status, ended_at = row["status"], seconds(row["ended_at"])
    return {
        "id": row["id"],
        "object": "thread.run.step",
        "created_at": seconds(row["created_at"]),
        "run_id": row["run_id"],
        "assistant_id": row["assistant_id"],
        "thread_id": row["thread_id"],
        "type": row["type"],
        "status": status,
        "cancelled_at": ended_at if status == StepStatus.CANCELLED else None,
        "completed_at": ended_at if status == StepStatus.COMPLETED else None,
        "expired_at": ended_at if status == StepStatus.EXPIRED else None,
        "failed_at": ended_at if status == StepStatus.FAILED else None,
        "last_error": row["last_error"],
        "step_details": _details(row["details"], dialect, contents=contents),
        "usage": row["usage"] if ended_at else None,
        "metadata": row["metadata"],
    }


def call_object(call: Mapping[str, Any], dialect: Dialect, *, contents: bool = False) -> Object:
    """A call of a tool as it is kept in `details`, as an OpenAI object.

    Of a search is kept what the model asked (`arguments`) and was told; v1 shows nothing of it.
    """
    if call["type"] == "code_interpreter":
        return {name: call[name] for name in ("id", "type", "code_interpreter")}
    if call["type"] != "file_search":
        return dict(call)
    if dialect == "v1":
        return {"id": call["id"], "type": "retrieval", "retrieval": {}}
    search = call["file_search"]
    shown: Object = {}
    if "results" in search:
        results = [_result(result, contents=contents) for result in search["results"]]
        shown = {"ranking_options": search["ranking_options"], "results": results}
    return {"id": call["id"], "type": "file_search", "file_search": shown}


def call_delta(call: Mapping[str, Any], dialect: Dialect) -> Object:
    """The same as far as a delta can tell it: clients can't add up lists whose items have no `index`."""
    shown = call_object(call, dialect)
    match shown["type"]:
        case "file_search":
            return {**shown, "file_search": {}}
        case "code_interpreter":
            code = shown["code_interpreter"]
            outputs = [{"index": place, **output} for place, output in enumerate(code["outputs"])]
            return {**shown, "code_interpreter": {**code, "outputs": outputs}}
        case _:
            return shown


def _details(details: Mapping[str, Any], dialect: Dialect, *, contents: bool) -> Object:
    if details["type"] != "tool_calls":
        return dict(details)
    calls = [call_object(call, dialect, contents=contents) for call in details["tool_calls"]]
    return {"type": "tool_calls", "tool_calls": calls}


def _result(result: Mapping[str, Any], *, contents: bool) -> Object:
    shown: Object = {name: result[name] for name in ("file_id", "file_name", "score")}
    return shown | ({"content": [{"type": "text", "text": result["text"]}]} if contents else {})
