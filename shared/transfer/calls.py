"""Calls of tools in run steps: as OpenAI shows them, and as they are kept."""

import json
from collections.abc import Mapping
from typing import Any

_RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}


def as_v2(details: Mapping[str, Any]) -> dict[str, Any]:
    """Details of a step with v1's searches under v2's name, and with what the original left out."""
    calls = details.get("tool_calls")
    if not isinstance(calls, list):
        return dict(details)
    return {**details, "tool_calls": [_call_as_v2(call) for call in calls]}


def _call_as_v2(call: Any) -> Any:
    match call:
        case {"type": "retrieval", "id": call_id}:
            return {"id": call_id, "type": "file_search", "file_search": {}}
        case {"type": "file_search", "file_search": dict(search), **more}:
            ranking = {**_RANKING, **(search.get("ranking_options") or {})}
            return {**more, "type": "file_search", "file_search": {**search, "ranking_options": ranking}}
        case {"type": "code_interpreter", "code_interpreter": dict(code), **more}:
            return {**more, "type": "code_interpreter", "code_interpreter": {"outputs": [], **code}}
        case {"type": "function", "function": dict(function), **more}:
            return {**more, "type": "function", "function": {"output": None, **function}}
        case _:
            return call


def stored(details: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Details as they are kept, of those in v2's shape. Searches bear `place` in their marks, which no search of this
    server will have.
    """
    if details["type"] != "tool_calls":
        return dict(details)
    return {**details, "tool_calls": [_stored(call, place) for call in details["tool_calls"]]}


def _stored(call: Mapping[str, Any], place: int) -> Mapping[str, Any]:
    match call["type"]:
        case "code_interpreter":
            code = json.dumps({"code": call["code_interpreter"]["input"]}, ensure_ascii=False)
            return {**call, "arguments": code, "files": {}, "notes": []}
        case "file_search":
            search = call["file_search"]
            results = [_result(result) for result in search.get("results") or []]
            kept = {"ranking_options": search["ranking_options"], "results": results, "first": 0, "number": -place}
            return {**call, "arguments": '{"queries": []}', "file_search": kept}
        case _:
            return call


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result has its text where whoever made the dump asked for it."""
    texts = [part["text"] for part in result.get("content") or []]
    named = {name: result[name] for name in ("file_id", "file_name", "score")}
    return {**named, "text": "\n".join(texts), "chunk_id": "", "page": None, "pages": []}
