"""Files in parts that can't be announced, added to or completed."""

from typing import Any

from tests.api.malformed.refusals import (
    NO_OBJECT,
    NULL_CHARACTER,
    Refusal,
    above,
    below,
    empty,
    expected,
    long_array,
    long_string,
    missing,
    not_found,
    other_kind,
    unknown,
    unsupported,
    wrong_id,
)
from tests.api.malformed.request import Malformed, bare, form, post, raw

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
WHOLE = {"filename": "a.txt", "purpose": "assistants", "bytes": 1, "mime_type": "text/plain"}
PARTS, COMPLETE = "/uploads/{upload}/parts", "/uploads/{upload}/complete"


def without(name: str) -> Any:
    return {other: value for other, value in WHOLE.items() if other != name}


def no_type(value: str, purpose: str, expected: str) -> Refusal:
    return Refusal(
        f"Invalid 'mime_type': '{value}'. Purpose '{purpose}' takes {expected}.", "mime_type", "invalid_value"
    )


# Fields beside an announcement that would do.
FIELDS: list[tuple[dict[str, Any], Refusal]] = [
    ({"filename": ""}, empty("filename", "string")),
    ({"filename": "n" * 513}, long_string("filename", 512, 513)),
    ({"filename": 4}, expected("filename", "a string", "an integer")),
    ({"filename": "n\0"}, NULL_CHARACTER),
    ({"purpose": "jokes"}, unsupported("purpose", "jokes", *PURPOSES)),
    ({"bytes": -1}, below("bytes", "integer", 0, "-1")),
    ({"bytes": 512 * 1024 * 1024 + 1}, above("bytes", "integer", 536_870_912, "536870913")),
    ({"bytes": 8 * 1024**3}, above("bytes", "integer", 536_870_912, "8589934592")),
    ({"bytes": "1"}, expected("bytes", "an integer", "a string")),
    ({"bytes": 0.5}, expected("bytes", "an integer", "a decimal number")),
    ({"bytes": None}, expected("bytes", "an integer", "null")),
    ({"mime_type": 4}, expected("mime_type", "a string", "an integer")),
    ({"mime_type": "m/" + "t" * 256}, long_string("mime_type", 256, 258)),
    ({"purpose": "vision"}, no_type("text/plain", "vision", "a type of images, such as image/png")),
    (
        {"purpose": "batch"},
        no_type("text/plain", "batch", "a type of JSON lines, such as application/jsonl"),
    ),
    ({"expires_after": 3600}, expected("expires_after", "an object", "an integer")),
    ({"expires_after": {}}, missing("expires_after.anchor")),
    ({"expires_after": {"anchor": "created_at"}}, missing("expires_after.seconds")),
    (
        {"expires_after": {"anchor": "last_active_at", "seconds": 3600}},
        unsupported("expires_after.anchor", "last_active_at", "created_at"),
    ),
    (
        {"expires_after": {"anchor": "created_at", "seconds": 3599}},
        below("expires_after.seconds", "integer", 3600, "3599"),
    ),
    (
        {"expires_after": {"anchor": "created_at", "seconds": 2_592_001}},
        above("expires_after.seconds", "integer", 2_592_000, "2592001"),
    ),
    ({"expires_after": {"anchor": "created_at", "seconds": 3600, "x": 1}}, unknown("expires_after.x")),
    ({"md5": "0" * 32}, unknown("md5")),
    ({"colour": "red"}, unknown("colour")),
]

UPLOADS: list[Malformed] = [
    *(post("/uploads", {**WHOLE, **fields}, refusal) for fields, refusal in FIELDS),
    *(post("/uploads", without(name), missing(name)) for name in WHOLE),
    post("/uploads", [], NO_OBJECT),
    post("/uploads?colour=red", WHOLE, unknown("colour")),
    raw("/uploads", b"bytes=1", other_kind("text/plain"), "text/plain"),
    form({}, not_found("upload", "upload_none"), path="/uploads/upload_none/parts", name="data"),
    form({}, wrong_id("upload_id", "file-x", "upload"), path="/uploads/file-x/parts", name="data"),
    form({}, missing("data"), path=PARTS),
    form({"data": "x"}, expected("data", "a file", "a string"), filename=None, path=PARTS),
    form({"colour": "red"}, unknown("colour"), path=PARTS, name="data"),
    form({}, unknown("colour"), path=f"{PARTS}?colour=red", name="data"),
    raw(PARTS, b"{}", other_kind("application/json", "multipart/form-data")),
    post("/uploads/upload_none/complete", {"part_ids": []}, not_found("upload", "upload_none")),
    post("/uploads/undefined/complete", {"part_ids": []}, wrong_id("upload_id", "undefined", "upload")),
    post(COMPLETE, {}, missing("part_ids")),
    post(COMPLETE, {"part_ids": "part_x"}, expected("part_ids", "an array", "a string")),
    post(COMPLETE, {"part_ids": [4]}, expected("part_ids[0]", "a string", "an integer")),
    post(COMPLETE, {"part_ids": ["{part}", "file-x"]}, wrong_id("part_ids[1]", "file-x", "part")),
    post(COMPLETE, {"part_ids": ["part_x"] * 10_001}, long_array("part_ids", 10_000, 10_001)),
    post(
        COMPLETE,
        {"part_ids": ["{part}", "{part}"]},
        Refusal("Invalid 'part_ids': a part may be named once.", "part_ids"),
    ),
    post(
        COMPLETE,
        {"part_ids": ["part_none"]},
        Refusal("Invalid 'part_ids[0]': upload {upload} has no part with id 'part_none'.", "part_ids[0]"),
    ),
    post(COMPLETE, {"part_ids": [], "md5": 4}, expected("md5", "a string", "an integer")),
    post(COMPLETE, {"part_ids": [], "colour": "red"}, unknown("colour")),
    bare("POST", "/uploads/upload_none/cancel", not_found("upload", "upload_none")),
    bare("POST", "/uploads/thread_x/cancel", wrong_id("upload_id", "thread_x", "upload")),
    bare("POST", "/uploads/{upload}/cancel?colour=red", unknown("colour")),
]
