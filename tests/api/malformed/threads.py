"""Threads and messages that can't be made or changed."""

from typing import Any

from tests.api.malformed.refusals import (
    NO_OBJECT,
    NULL_CHARACTER,
    Refusal,
    empty,
    expected,
    long_array,
    long_string,
    many_properties,
    missing,
    no_match,
    not_found,
    unknown,
    unsupported,
    wrong_id,
)
from tests.api.malformed.request import Malformed, post

ADDRESS = r"^(https?://[^\s/]|data:image/)"
PARTS = ("text", "image_url", "image_file")
DETAILS = ("auto", "low", "high")
CODE_FILES = "tool_resources.code_interpreter.file_ids"


def said(content: Any, **more: Any) -> Any:
    return {"role": "user", "content": content, **more}


def image(**fields: Any) -> Any:
    return said([{"type": "image_url", "image_url": fields}])


# Messages, refused alike wherever they are sent: `where` a message stands in the body, its fields are named below it.
MESSAGES: list[tuple[Any, Refusal]] = [
    ({"content": "x"}, missing("role")),
    ({"role": "system", "content": "x"}, unsupported("role", "system", "user", "assistant")),
    ({"role": "", "content": "x"}, unsupported("role", "", "user", "assistant")),
    (
        {"role": 4, "content": "x"},
        Refusal(
            "Invalid type for 'role': expected one of 'user' or 'assistant', but got an integer instead.",
            "role",
            "invalid_type",
        ),
    ),
    ({"role": "user"}, missing("content")),
    (said(""), empty("content", "string")),
    (said([]), empty("content", "array", "an")),
    (said("x" * 256_001), long_string("content", 256_000, 256_001)),
    (said(None), expected("content", "one of a string or array of objects", "null")),
    (said(4), expected("content", "one of a string or array of objects", "an integer")),
    (said({"type": "text"}), expected("content", "one of a string or array of objects", "an object")),
    (said(["x"]), expected("content[0]", "an object", "a string")),
    (said([{"text": "x"}]), missing("content[0].type")),
    (said([{"type": "text"}]), missing("content[0].text")),
    (said([{"type": "text", "text": ""}]), empty("content[0].text", "string")),
    (said([{"type": "text", "text": {"value": "x"}}]), expected("content[0].text", "a string", "an object")),
    (said([{"type": "text", "text": "x", "annotations": []}]), unknown("content[0].annotations")),
    (said([{"type": "sound"}]), unsupported("content[0].type", "sound", *PARTS)),
    (said([{"type": "text", "text": "x"}] * 101), long_array("content", 100, 101)),
    (
        said([{"type": "text", "text": "x" * 200_000}] * 2),
        Refusal(
            "Invalid 'content': too long. Expected parts with at most 256000 characters together, but got 400000 "
            "instead.",
            "content",
            "string_above_max_length",
        ),
    ),
    (said([{"type": "image_url"}]), missing("content[0].image_url")),
    (image(), missing("content[0].image_url.url")),
    (image(url=4), expected("content[0].image_url.url", "a string", "an integer")),
    *(
        (image(url=url), no_match("content[0].image_url.url", ADDRESS))
        for url in ("", "cat.png", "ftp://x/y", "https://")
    ),
    (image(url="https://x/y", detail="sharp"), unsupported("content[0].image_url.detail", "sharp", *DETAILS)),
    (said([{"type": "image_file", "image_file": {}}]), missing("content[0].image_file.file_id")),
    (
        said([{"type": "image_file", "image_file": {"file_id": "x"}}]),
        wrong_id("content[0].image_file.file_id", "x", "file"),
    ),
    (said([{"type": "image_file", "image_file": {"file_id": "file-none"}}]), not_found("file", "file-none")),
    (said("x", attachments={}), expected("attachments", "an array", "an object")),
    (said("x", attachments=[{}]), missing("attachments[0].file_id")),
    (said("x", attachments=[{"file_id": "x"}]), wrong_id("attachments[0].file_id", "x", "file")),
    (said("x", attachments=[{"file_id": "file-none", "tools": []}]), not_found("file", "file-none")),
    (
        said("x", attachments=[{"file_id": "file-a", "tools": [{"type": "retrieval"}]}]),
        unsupported("attachments[0].tools[0].type", "retrieval", "code_interpreter", "file_search"),
    ),
    (said("x", attachments=[{"file_id": "file-a"}] * 101), long_array("attachments", 100, 101)),
    (said("x", metadata={"a": 1}), expected("metadata.a", "a string", "an integer")),
    (said("x", colour="red"), unknown("colour")),
    (said("x", file_ids=["file-x"]), unknown("file_ids")),  # v1's
    (said("a\0b"), NULL_CHARACTER),
]

# Of a thread, alike in POST /threads and POST /threads/{thread_id}.
FIELDS: list[tuple[dict[str, Any], Refusal]] = [
    ({"colour": "red"}, unknown("colour")),
    ({"metadata": []}, expected("metadata", "an object", "an array")),
    ({"metadata": {"a": 1}}, expected("metadata.a", "a string", "an integer")),
    ({"metadata": {"a": "v" * 513}}, long_string("metadata.a", 512, 513)),
    ({"metadata": {str(number): "x" for number in range(17)}}, many_properties("metadata", 17)),
    ({"tool_resources": []}, expected("tool_resources", "an object", "an array")),
    ({"tool_resources": {"function": {}}}, unknown("tool_resources.function")),
    ({"tool_resources": {"code_interpreter": {"file_ids": ["file-a"] * 21}}}, long_array(CODE_FILES, 20, 21)),
    ({"tool_resources": {"code_interpreter": {"file_ids": ["file-none"]}}}, not_found("file", "file-none")),
]

METADATA: list[tuple[Any, Refusal]] = [
    ([], NO_OBJECT),
    ({"metadata": {"a": 1}}, expected("metadata.a", "a string", "an integer")),
    ({"metadata": {"k" * 65: "v"}}, long_string(f"metadata.{'k' * 65}", 64, 65)),
    ({"metadata": "a"}, expected("metadata", "an object", "a string")),
    ({"metadata": {"a": "\0"}}, NULL_CHARACTER),
    ({"status": "completed"}, unknown("status")),
]

V1 = {"openai_beta": "assistants=v1"}
SAY = "/threads/{thread}/messages"


def within(where: str, refusal: Refusal) -> Refusal:
    """The refusal, where the message that it is about stands at that place in the body."""
    if refusal.param is None:
        return refusal
    param = f"{where}.{refusal.param}"
    return Refusal(refusal.message.replace(f"'{refusal.param}'", f"'{param}'", 1), param, refusal.code, refusal.status)


def in_a_list(path: str, where: str, wrap: dict[str, Any]) -> list[Malformed]:
    """The messages as the second of a list at that place of a body."""
    *most, last = where.split(".")
    rows: list[Malformed] = []
    for message, refusal in MESSAGES:
        if refusal.param == "file_ids":
            continue  # tested by hand: v1's field is named without its place
        body = {last: [said("fine"), message]}
        for name in reversed(most):
            body = {name: body}
        rows.append(post(path, {**wrap, **body}, within(f"{where}[1]", refusal)))
    return rows


THREADS = [
    *(post("/threads", fields, refusal) for fields, refusal in FIELDS),
    *(post("/threads/{thread}", fields, refusal) for fields, refusal in FIELDS),
    post("/threads", [], NO_OBJECT),
    post("/threads", {"messages": {}}, expected("messages", "an array", "an object")),
    post("/threads", {"messages": ["Hello?"]}, expected("messages[0]", "an object", "a string")),
    post("/threads", {"messages": [said("x")] * 1001}, long_array("messages", 1000, 1001)),
    post("/threads/{thread}", {"messages": []}, unknown("messages")),
    post("/threads/{thread}", {"id": "thread_mine"}, unknown("id")),
    *in_a_list("/threads", "messages", {}),
    *(post(SAY, message, refusal) for message, refusal in MESSAGES),
    post(SAY, [], NO_OBJECT),
    post(SAY, said("x", file_ids=["file-a"] * 11), long_array("file_ids", 10, 11), **V1),
    post(SAY, said("x", file_ids=["file-none"]), not_found("file", "file-none"), **V1),
    *(post("/threads/{thread}/messages/{message}", body, refusal) for body, refusal in METADATA),
    post("/threads/{thread}/messages/{message}", {"content": "y"}, unknown("content")),
]
