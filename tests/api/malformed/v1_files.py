"""v1's files of assistants and messages that can't be attached or found."""

from tests.api.malformed.refusals import (
    NO_OBJECT,
    Refusal,
    above,
    expected,
    missing,
    no_cursor,
    no_url,
    not_found,
    unknown,
    unsupported,
    wrong_id,
)
from tests.api.malformed.request import Malformed, bare, post

V1 = {"openai_beta": "assistants=v1"}
FILES, OF_MESSAGE = "/assistants/{assistant}/files", "/threads/{thread}/messages/{message}/files"
NOBODY = not_found("assistant", "asst_none")
NO_FILE, THE_FILE = not_found("file", "file-none"), not_found("file", "{file}")


def v1(method: str, path: str, refusal: Refusal) -> Malformed:
    """A request without a body, in v1."""
    return Malformed(method, path, refusal, headers={"openai-beta": "assistants=v1"})


V1_FILES: list[Malformed] = [
    post("/assistants/asst_none/files", {"file_id": "{file}"}, NOBODY, **V1),
    v1("GET", "/assistants/asst_none/files", NOBODY),
    *(v1(method, "/assistants/asst_none/files/{file}", NOBODY) for method in ("GET", "DELETE")),
    post("/assistants/thread_x/files", {"file_id": "{file}"}, wrong_id("assistant_id", "thread_x", "asst"), **V1),
    post(FILES, {}, missing("file_id"), **V1),
    post(FILES, [], NO_OBJECT, **V1),
    post(FILES, {"file_id": 4}, expected("file_id", "a string", "an integer"), **V1),
    post(FILES, {"file_id": "asst_x"}, wrong_id("file_id", "asst_x", "file"), **V1),
    post(FILES, {"file_id": "file-none"}, NO_FILE, **V1),
    post(FILES, {"file_id": "{file}", "colour": "red"}, unknown("colour"), **V1),
    post(f"{FILES}?colour=red", {"file_id": "{file}"}, unknown("colour"), **V1),
    *(v1(method, f"{FILES}/{{file}}", THE_FILE) for method in ("GET", "DELETE")),  # it is not attached
    *(v1(method, f"{FILES}/undefined", wrong_id("file_id", "undefined", "file")) for method in ("GET", "DELETE")),
    v1("GET", f"{OF_MESSAGE}/{{file}}", THE_FILE),
    v1("GET", f"{OF_MESSAGE}/msg_x", wrong_id("file_id", "msg_x", "file")),
    v1("GET", "/threads/{thread}/messages/msg_none/files", not_found("message", "msg_none")),
    v1("GET", "/threads/{thread}/messages/file-x/files", wrong_id("message_id", "file-x", "msg")),
    *(v1("GET", f"{path}?limit=101", above("limit", "integer", 100, "101")) for path in (FILES, OF_MESSAGE)),
    *(v1("GET", f"{path}?order=up", unsupported("order", "up", "asc", "desc")) for path in (FILES, OF_MESSAGE)),
    *(v1("GET", f"{path}?after=nothing", no_cursor("after", "nothing")) for path in (FILES, OF_MESSAGE)),
    *(v1("GET", f"{path}?colour=red", unknown("colour")) for path in (FILES, OF_MESSAGE)),
    # to v2 these addresses are unknown, whatever else is wrong with the request
    bare("GET", f"{FILES}?colour=red", no_url("GET", FILES)),
    post(FILES, {"file_id": 4}, no_url("POST", FILES)),
]
