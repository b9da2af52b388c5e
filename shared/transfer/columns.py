"""What rows are made of objects, ours and OpenAI's: checked against the shape in which they will be shown."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared import ids
from shared.runs.status import StepStatus
from shared.transfer import calls
from shared.transfer.kinds import EXTENSION, Kind
from shared.wire.fields import StaticChunking, Tool, stored_tools

Item = Mapping[str, Any]
Columns = dict[str, Any]

ACTIVE = frozenset({"queued", "in_progress", "requires_action", "cancelling"})
EXPIRES_AFTER = timedelta(minutes=10)  # the original's, where a run doesn't say
_TOOLS: TypeAdapter[list[Tool]] = TypeAdapter(list[Tool])
_INSTANT: TypeAdapter[datetime | None] = TypeAdapter(datetime | None)


class Unusable(Exception):
    """An object can't be kept: the message says why."""


def columns(kind: Kind, item: Item, offset: timedelta, place: int) -> Columns:
    """The columns of a row, but for its project, as JSON takes them. Where the object tells whole seconds alone,
    `offset` and `place` put it among others of the same second. Raises Unusable.
    """
    whole = {**_ABSENT.get(kind.name, {}), **{name: value for name, value in item.items() if value is not None}}
    whole: Columns = {**dict.fromkeys(kind.needed), **_REPAIRED.get(kind.name, _as_it_is)(whole)}
    told = {name: value for name, value in whole.items() if name in kind.fields and name != EXTENSION}
    try:
        kind.shape.validate_python(told)
        _check_id(kind, told["id"])
        row = {"id": told["id"], "created_at": _instant(told["created_at"]) + offset}
        row |= _COLUMNS[kind.name](whole, row["created_at"], place)
        row |= _beside(kind, item)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Unusable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _check_id(kind: Kind, object_id: str) -> None:
    if not ids.is_foreign(object_id, _PREFIXES[kind.name]):
        raise Unusable(f"'{object_id[:80]}' is no id of this kind")


_PREFIXES: Mapping[str, ids.Kind] = {
    "files": "file",
    "vector_stores": "vs",
    "vector_store_files": "file",
    "assistants": "asst",
    "threads": "thread",
    "messages": "msg",
    "runs": "run",
    "run_steps": "step",
}


def _beside(kind: Kind, item: Item) -> Columns:
    """What our own exports tell beside the object: as it was, but for runs in progress."""
    beside = item.get(EXTENSION)
    if not isinstance(beside, Mapping):
        return {}
    ended = kind.name in ("runs", "run_steps") and item.get("status") in ACTIVE
    kept = {name: beside[name] for name in kind.beside if name in beside and name not in _NOT_KEPT}
    if ended:
        kept = {name: value for name, value in kept.items() if name not in ("finished_at", "ended_at", "reason")}
    instants = {name: _INSTANT.validate_python(value) for name, value in kept.items() if name.endswith("_at")}
    return kept | {name: value for name, value in instants.items() if not (name == "created_at" and value is None)}


_NOT_KEPT = frozenset({"messages_to_come"})  # of a run that was waiting: it will not have its turn


def _instant(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, TypeError, ValueError, OSError):
        raise Unusable(f"{seconds} is no time") from None


def _optional(seconds: int | None) -> datetime | None:
    return None if seconds is None else _instant(seconds)


def _as_it_is(item: Columns) -> Columns:
    return item


def _file(item: Item, created_at: datetime, place: int) -> Columns:
    del created_at, place
    named = {name: item[name] for name in ("filename", "purpose", "bytes")}
    return {**named, "expires_at": _optional(item["expires_at"])}


def _store(item: Item, created_at: datetime, place: int) -> Columns:
    """A store that expires does so after its days from its last use, as it was; if that would be over by now, from now
    on. One that has expired has expired.
    """
    del place
    expiry = item.get("expires_after")
    active_at = _optional(item["last_active_at"]) or created_at
    expires_at = None
    if expiry is not None:
        expires_at = _optional(item["expires_at"]) or active_at + timedelta(days=expiry["days"])
        if item["status"] != "expired" and expires_at < datetime.now(UTC):
            expires_at = datetime.now(UTC) + timedelta(days=expiry["days"])
    return {
        "name": item["name"],
        "description": item["description"],
        "metadata": item["metadata"],
        "expires_after_days": expiry["days"] if expiry else None,
        "last_active_at": active_at,
        "expires_at": expires_at,
        "expired_at": (expires_at or active_at) if item["status"] == "expired" else None,
        "language": "english",
    }


def _store_file(item: Item, created_at: datetime, place: int) -> Columns:
    """It waits to be read, like one that is put into the store."""
    del created_at, place
    return {
        "vector_store_id": item["vector_store_id"],
        "ingestion": ids.new("vsf"),
        "attributes": item["attributes"],
        **item["chunking_strategy"]["static"],
    }


def _assistant(item: Item, created_at: datetime, place: int) -> Columns:
    del created_at, place
    named = ("name", "description", "model", "instructions", "metadata", "reasoning_effort", "file_ids")
    return {**{name: item[name] for name in named}, **_resources(item), **_sampling(item)}


def _thread(item: Item, created_at: datetime, place: int) -> Columns:
    del created_at, place
    return {"metadata": item["metadata"], **_resources(item)}


def _message(item: Item, created_at: datetime, place: int) -> Columns:
    """Nothing adds to a message that was in progress: it is as incomplete as those of runs that expire."""
    del place
    reason = None
    if item["status"] != "completed":
        reason = (item["incomplete_details"] or {"reason": "run_expired"})["reason"]
    ended_at = item["completed_at"] or item["incomplete_at"]
    named = ("thread_id", "role", "content", "assistant_id", "run_id", "attachments", "metadata", "file_ids")
    return {
        **{name: item[name] for name in named},
        "status": "completed" if reason is None else "incomplete",
        "incomplete_reason": reason,
        "ended_at": _optional(ended_at) if ended_at or item["role"] == "user" else created_at,
    }


def _run(item: Item, created_at: datetime, place: int) -> Columns:
    del place
    ended_at = item["completed_at"] or item["failed_at"] or item["cancelled_at"]
    expires_at = _optional(item["expires_at"]) or created_at + EXPIRES_AFTER
    named = (
        "thread_id assistant_id last_error incomplete_details model instructions metadata usage reasoning_effort"
        " max_prompt_tokens max_completion_tokens truncation_strategy tool_choice parallel_tool_calls file_ids"
    )
    return {
        **{name: item[name] for name in named.split()},
        **_sampling(item),
        "status": "expired" if item["status"] in ACTIVE else item["status"],
        "reason": "imported",
        "started_at": _optional(item["started_at"]),
        "finished_at": _optional(ended_at) or expires_at,
        "expires_at": expires_at,
        "rung_at": None,
    }


def _step(item: Item, created_at: datetime, place: int) -> Columns:
    ended = {name: item[f"{name}_at"] for name in ("cancelled", "completed", "expired", "failed")}
    named = ("thread_id", "run_id", "assistant_id", "type", "last_error", "usage", "metadata")
    status = StepStatus.EXPIRED if item["status"] in ACTIVE else StepStatus(item["status"])
    expires_at = _optional(item["expires_at"])
    over = (expires_at if item["status"] in ACTIVE else None) or created_at
    return {
        **{name: item[name] for name in named},
        "status": status,
        "expires_at": expires_at,
        "ended_at": next((_instant(at) for at in ended.values() if at is not None), over),
        "position": place,
        "term": 1,
        "details": calls.stored(item["step_details"], place),
    }


def _resources(item: Item) -> Columns:
    """What tools work with, and the tools themselves where there are."""
    there = {name: value for name, value in item["tool_resources"].items() if value is not None}
    return {"tool_resources": there}


def _sampling(item: Item) -> Columns:
    """Tools, and how words are chosen. What the original shows where nothing was said is kept as nothing said."""
    return {
        "tools": stored_tools(_TOOLS.validate_python(item["tools"])),
        "temperature": None if item["temperature"] == 1 else item["temperature"],
        "top_p": None if item["top_p"] == 1 else item["top_p"],
        "response_format": None if item["response_format"] == "auto" else item["response_format"],
    }


_COLUMNS: Mapping[str, Callable[[Item, datetime, int], Columns]] = {
    "files": _file,
    "vector_stores": _store,
    "vector_store_files": _store_file,
    "assistants": _assistant,
    "threads": _thread,
    "messages": _message,
    "runs": _run,
    "run_steps": _step,
}

# What the original left out, or showed as null, at one time or another.
_SAMPLING = {"temperature": 1.0, "top_p": 1.0, "response_format": "auto", "tools": [], "metadata": {}, "file_ids": []}
_ABSENT: Mapping[str, Columns] = {
    "files": {"status": "processed"},
    "vector_stores": {"name": "", "metadata": {}, "usage_bytes": 0, "status": "completed"},
    "vector_store_files": {"attributes": {}, "usage_bytes": 0, "status": "in_progress"},
    "assistants": {**_SAMPLING, "tool_resources": {}},
    "threads": {"metadata": {}, "tool_resources": {}},
    "messages": {"status": "completed", "attachments": [], "metadata": {}, "file_ids": []},
    "runs": {
        **_SAMPLING,
        "instructions": "",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "truncation_strategy": {"type": "auto", "last_messages": None},
    },
    "run_steps": {"metadata": {}},
}


def _plain_file(item: Columns) -> Columns:
    """How far OpenAI's own processing had come is of no matter here."""
    return {**item, "status": "processed", "status_details": None}


def _counted_store(item: Columns) -> Columns:
    return {**item, "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}}


def _cut_file(item: Columns) -> Columns:
    """Files from before there was a choice say `other`."""
    strategy = item.get("chunking_strategy")
    if not isinstance(strategy, Mapping) or strategy.get("type") != "static":
        item = {**item, "chunking_strategy": {"type": "static", "static": StaticChunking().model_dump()}}
    return {**item, "last_error": None}


def _shown_message(item: Columns) -> Columns:
    """Refusals are words, and images have always had a detail."""
    content = item.get("content")
    if not isinstance(content, list):
        return item
    return {**item, "content": [_shown_part(part) for part in content]}


def _shown_part(part: Any) -> Any:
    match part:
        case {"type": "refusal", "refusal": str(words)}:
            return {"type": "text", "text": {"value": words, "annotations": []}}
        case {"type": ("image_file" | "image_url") as kind, **more} if isinstance(more.get(kind), dict):
            return {"type": kind, kind: {**more[kind], "detail": more[kind].get("detail") or "auto"}}
        case {"type": "text", "text": {"value": value, **more}}:
            return {"type": "text", "text": {"value": value, "annotations": [], **more}}
        case _:
            return part


def _ended_run(item: Columns) -> Columns:
    """What a run in progress waited for is lost with it; `auto` truncates without a number."""
    strategy = item.get("truncation_strategy")
    if isinstance(strategy, Mapping):
        item = {**item, "truncation_strategy": {"last_messages": None, **strategy}}
    return {**item, "required_action": None}


def _v2_step(item: Columns) -> Columns:
    details = item.get("step_details")
    return {**item, "step_details": calls.as_v2(details)} if isinstance(details, Mapping) else item


_REPAIRED: Mapping[str, Callable[[Columns], Columns]] = {
    "files": _plain_file,
    "vector_stores": _counted_store,
    "vector_store_files": _cut_file,
    "messages": _shown_message,
    "runs": _ended_run,
    "run_steps": _v2_step,
}
