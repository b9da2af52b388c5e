"""What the model is told: rows in, chat messages out; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.runs.citations import Sources
from worker.tools import code_interpreter, file_search

Chat = dict[str, Any]

Unit = list[Chat]
"""Messages that are told together or not at all: one, or an exchange of calls and outputs."""


def chat(instructions: str, units: Sequence[Unit]) -> list[Chat]:
    """The conversation as chat completions take it."""
    system = [{"role": "system", "content": instructions}] if instructions else []
    return [*system, *(message for unit in units for message in unit)]


def units(
    items: Sequence[Mapping[str, Any]],
    images: Mapping[str, str],
    *,
    last_messages: int | None = None,
    run_id: str | None = None,
) -> list[Unit]:
    """What can be told of a thread, oldest first.

    `items` are messages and finished tool calls of the thread, as the claim returns them; `images` are data: URLs by
    file id. With `last_messages` only so many messages are told, and what came after the first of them; what the run
    itself said since it began doesn't count. Of searches, those of the run itself are told with all that they found.
    """
    told: list[Unit] = []
    for item in _cut(items, last_messages, run_id):
        if item["type"] == "message":
            told.append([_message(item, images)])
        elif exchange := _exchange(item, told, whole=item["run_id"] == run_id):
            told.append(exchange)
    return told


def sources(items: Sequence[Mapping[str, Any]], run_id: str) -> Sources:
    """What an answer may refer to: marks and links of these items, and the images that this run has shown since it last
    said something.
    """
    marks: dict[tuple[int, int], file_search.Source] = {}
    links: dict[str, str] = {}
    images: list[str] = []
    for item in items:
        if item["type"] == "message":
            images = []
            continue
        for call in item["details"]["tool_calls"]:
            if call["type"] == file_search.NAME:
                marks |= file_search.sources(call)
            elif call["type"] == code_interpreter.NAME:
                links |= code_interpreter.links(call)
                images += code_interpreter.images(call) if item["run_id"] == run_id else []
    return Sources(marks, links, images)


def image_files(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """File ids of the images in these items, newest first, each once."""
    found = [
        part["image_file"]["file_id"]
        for item in reversed(items)
        if item["type"] == "message" and item["role"] == "user"
        for part in item["content"]
        if part["type"] == "image_file"
    ]
    return list(dict.fromkeys(found))


def _cut(
    items: Sequence[Mapping[str, Any]], last_messages: int | None, run_id: str | None
) -> Sequence[Mapping[str, Any]]:
    """From the first message on that is told: tool calls older than every message have lost their question."""
    places = [
        place
        for place, item in enumerate(items)
        if item["type"] == "message" and (run_id is None or item["run_id"] != run_id)
    ]
    if last_messages is not None:
        places = places[-last_messages:]
    return items[places[0] :] if places else items


def _message(item: Mapping[str, Any], images: Mapping[str, str]) -> Chat:
    parts = [_part(part, images) for part in item["content"] if item["role"] == "user" or part["type"] == "text"]
    if all(part["type"] == "text" for part in parts):
        return {"role": item["role"], "content": "\n".join(part["text"] for part in parts)}
    return {"role": item["role"], "content": parts}


def _part(part: Mapping[str, Any], images: Mapping[str, str]) -> Chat:
    match part["type"]:
        case "text":
            return {"type": "text", "text": part["text"]["value"]}
        case "image_url":
            return {"type": "image_url", "image_url": part["image_url"]}
        case _:
            file = part["image_file"]
            url = images.get(file["file_id"])
            if url is None:
                return {"type": "text", "text": "[an image that has been deleted]"}
            return {"type": "image_url", "image_url": {"url": url, "detail": file.get("detail", "auto")}}


def _exchange(item: Mapping[str, Any], before: list[Unit], *, whole: bool) -> Unit:
    """A tool step: the calls, as one assistant message (together with what it said just before), then the outputs."""
    exchanges = [_call(call, whole=whole) for call in item["details"]["tool_calls"]]
    if not exchanges:
        return []
    said = None
    if before and before[-1][0]["role"] == "assistant" and "tool_calls" not in before[-1][0]:
        said = before.pop()[0]["content"]
    calls, outputs = zip(*exchanges, strict=True)
    return [{"role": "assistant", "content": said, "tool_calls": list(calls)}, *outputs]


def _call(call: Mapping[str, Any], *, whole: bool) -> tuple[Chat, Chat]:
    """A call and its output; of what an earlier run found, where it was found."""
    if call["type"] == file_search.NAME:
        name, arguments, output = file_search.NAME, call["arguments"], file_search.told(call, whole=whole)
    elif call["type"] == code_interpreter.NAME:
        name, arguments, output = code_interpreter.NAME, call["arguments"], code_interpreter.told(call)
    else:
        function = call["function"]
        name, arguments, output = function["name"], function["arguments"], function.get("output") or ""
    asked = {"id": call["id"], "type": "function", "function": {"name": name, "arguments": arguments}}
    return asked, {"role": "tool", "tool_call_id": call["id"], "content": output}
