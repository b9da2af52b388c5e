"""Run steps on the wire."""

from collections.abc import Mapping
from typing import Any, Literal

from shared.runs.status import StepStatus
from shared.wire.fields import Dialect
from shared.wire.objects import Object, seconds
from shared.wire.shapes.steps import Call, Found, MessageCreation, RunStepObject, Searched, ToolCalls

Includable = Literal["step_details.tool_calls[*].file_search.results[*].content"]
INCLUDABLE: Includable = "step_details.tool_calls[*].file_search.results[*].content"
"""What a client can ask for with `include[]`: the texts that file_search found."""


def step_object(row: Mapping[str, Any], dialect: Dialect, *, contents: bool = False) -> RunStepObject:
    """A row of `run_steps` as an OpenAI object; `contents` shows the texts that file_search found.

    `usage` is null until the end, which calls reach with their outputs, and `expires_at` from then on, as a run's is.
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
        "expires_at": None if ended_at else seconds(row["expires_at"]),
        "cancelled_at": ended_at if status == StepStatus.CANCELLED else None,
        "completed_at": ended_at if status == StepStatus.COMPLETED else None,
        "expired_at": ended_at if status == StepStatus.EXPIRED else None,
        "failed_at": ended_at if status == StepStatus.FAILED else None,
        "last_error": row["last_error"],
        "step_details": _details(row["details"], dialect, contents=contents),
        "usage": row["usage"] if ended_at else None,
        "metadata": row["metadata"],
    }


def call_object(call: Any, dialect: Dialect, *, contents: bool = False) -> Call:
    """A call of a tool as it is kept in `details`, as an OpenAI object.

    Of a search is kept what the model asked (`arguments`) and was told; v1 shows nothing of it.
    """
    if call["type"] == "code_interpreter":
        return {"id": call["id"], "type": "code_interpreter", "code_interpreter": call["code_interpreter"]}
    if call["type"] != "file_search":
        return call
    if dialect == "v1":
        return {"id": call["id"], "type": "retrieval", "retrieval": {}}
    search = call["file_search"]
    shown: Searched = {}
    if "results" in search:
        results = [_result(result, contents=contents) for result in search["results"]]
        shown = {"ranking_options": search["ranking_options"], "results": results}
    return {"id": call["id"], "type": "file_search", "file_search": shown}


def call_delta(call: Any, dialect: Dialect, *, contents: bool = False) -> Object:
    """The same as a delta tells it. Clients add outputs up by their `index`; results have none, and come once."""
    shown = call_object(call, dialect, contents=contents)
    if shown["type"] == "code_interpreter":
        code = shown["code_interpreter"]
        outputs = [{"index": place, **output} for place, output in enumerate(code["outputs"])]
        return {**shown, "code_interpreter": {**code, "outputs": outputs}}
    return shown


def results_delta(place: int, call: Any, dialect: Dialect, *, contents: bool) -> Object:
    """What a search found, for the call that was told of at `place` before."""
    shown = call_object(call, dialect, contents=contents)
    return {"index": place, **{name: value for name, value in shown.items() if name != "id"}}


def _details(details: Any, dialect: Dialect, *, contents: bool) -> MessageCreation | ToolCalls:
    if details["type"] != "tool_calls":
        return details
    calls = [call_object(call, dialect, contents=contents) for call in details["tool_calls"]]
    return {"type": "tool_calls", "tool_calls": calls}


def _result(result: Mapping[str, Any], *, contents: bool) -> Found:
    shown: Found = {"file_id": result["file_id"], "file_name": result["file_name"], "score": result["score"]}
    if contents:
        shown["content"] = [{"type": "text", "text": result["text"]}]
    return shown
