"""The events of a run told from its rows: what is said when the log is gone, or has a hole."""

from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Any

from sqlalchemy import text

from shared.database import Executor, Row
from shared.events.types import DONE, EventId, frame
from shared.runs.status import RunStatus
from shared.vault.contents import ContentLost
from shared.wire.objects import Object
from shared.wire.runs import run_object
from shared.wire.steps import call_delta, step_object
from shared.wire.threads import message_object

_STEPS = text("""
SELECT * FROM run_steps WHERE run_id = :run_id AND thread_id = :thread_id AND project_id = :project_id
ORDER BY position""")
_MESSAGES = text("""
SELECT * FROM messages WHERE run_id = :run_id AND thread_id = :thread_id AND project_id = :project_id""")

Told = tuple[str, Object | str]


async def from_rows(db: Executor, run: Row, after: EventId, finished: Collection[str]) -> bytes:
    """Frames, numbered after `after`, that bring a reader to where the run stands now.

    `run` is a run that no longer moves. Steps whose ids are in `finished` were told to their end before; the others
    begin anew, which clients understand: an object that is created again replaces what they had of it.
    """
    keys = {"run_id": run["id"], "thread_id": run["thread_id"], "project_id": run["project_id"]}
    steps, messages = await db.all(_STEPS, keys), await db.all(_MESSAGES, keys)
    by_id = {message["id"]: message for message in messages}
    events = [event for step in steps if step["id"] not in finished for event in _step(run, step, by_id)]
    events.append((f"thread.run.{run['status']}", run_object(run, run["dialect"])))
    events.append((DONE, "[DONE]"))
    term = max(run["term"], after.term)
    begin = after.sequence if term == after.term else 0
    numbered = enumerate(events, start=begin + 1)
    return b"".join(frame(EventId(term, number), name, data) for number, (name, data) in numbered)


class Gone(Enum):
    """Why there is no row to tell of: type, code and message of the error that is told in its place."""

    DELETED = "invalid_request_error", None, "The run was deleted."
    LOST = "server_error", "content_lost", ContentLost.TOLD


def gone(why: Gone, after: EventId) -> bytes:
    """The end of a stream of which there is nothing to tell: the error in both of the forms that clients look for."""
    kind, code, message = why.value
    problem = {"message": message, "type": kind, "param": None, "code": code}
    first, second = EventId(after.term, after.sequence + 1), EventId(after.term, after.sequence + 2)
    return frame(first, "error", {"error": problem, **problem}) + frame(second, DONE, "[DONE]")


def _step(run: Row, step: Row, messages: Mapping[str, Row]) -> Iterator[Told]:
    dialect, contents = run["dialect"], run["include_contents"]
    yield from step_begun(step, dialect, contents=contents)
    if step["type"] != "tool_calls":
        yield from _message(messages.get(_message_id(step)), dialect)
    if step["status"] != "in_progress":
        yield f"thread.run.step.{step['status']}", step_object(step, dialect, contents=contents)


def step_begun(step: Mapping[str, Any], dialect: Any, *, contents: bool = False) -> Iterator[Told]:
    """A step from its creation on, with its calls as far as they are known."""
    begun = {**step, "status": "in_progress", "ended_at": None, "last_error": None}
    calls = step["type"] == "tool_calls"
    if calls:
        begun["details"] = {"type": "tool_calls", "tool_calls": []}
    yield "thread.run.step.created", step_object(begun, dialect)
    yield "thread.run.step.in_progress", step_object(begun, dialect)
    if calls:
        yield from _calls(step, dialect, contents=contents)


def _message(message: Row | None, dialect: Any) -> Iterator[Told]:
    if message is None:  # deleted since
        return
    begun = {**message, "status": "in_progress", "ended_at": None, "incomplete_reason": None, "content": []}
    yield "thread.message.created", message_object(begun, dialect)
    yield "thread.message.in_progress", message_object(begun, dialect)
    content = [_indexed(index, part) for index, part in enumerate(message_object(message, dialect)["content"])]
    yield (
        "thread.message.delta",
        {"id": message["id"], "object": "thread.message.delta", "delta": {"content": content}},
    )
    yield f"thread.message.{message['status']}", message_object(message, dialect)


def _indexed(index: int, part: Mapping[str, Any]) -> Object:
    """A part as a delta tells it: with its place, and those of its annotations."""
    if part["type"] != "text":
        return {"index": index, **part}
    annotations = [{"index": place, **annotation} for place, annotation in enumerate(part["text"]["annotations"])]
    return {"index": index, **part, "text": {**part["text"], "annotations": annotations}}


def _calls(step: Mapping[str, Any], dialect: Any, *, contents: bool) -> Iterator[Told]:
    for index, call in enumerate(step["details"]["tool_calls"]):
        details = {
            "type": "tool_calls",
            "tool_calls": [{"index": index, **call_delta(call, dialect, contents=contents)}],
        }
        yield (
            "thread.run.step.delta",
            {"id": step["id"], "object": "thread.run.step.delta", "delta": {"step_details": details}},
        )


def _message_id(step: Row) -> str:
    return step["details"]["message_creation"]["message_id"]


STILL = frozenset(RunStatus) - {RunStatus.QUEUED, RunStatus.IN_PROGRESS}
"""States in which a run waits for nobody but its client, or for nothing: what there is to tell has happened."""
