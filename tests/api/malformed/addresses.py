"""Requests at fault before their bodies: ids, queries, methods, kinds and sizes of content, uploads."""

from tests.api.malformed.refusals import (
    NO_OBJECT,
    TOO_LARGE,
    Refusal,
    above,
    below,
    expected,
    missing,
    no_cursor,
    no_filter,
    no_json,
    no_method,
    no_url,
    not_found,
    other_kind,
    twice,
    unknown,
    unsupported,
    wrong_id,
)
from tests.api.malformed.request import Malformed, bare, form, post, raw

ASSISTANT, THREAD, FILE = "/assistants/asst_none", "/threads/thread_none", "/files/file-none"
MESSAGE, RUN = "/threads/{thread}/messages/msg_none", "/threads/{thread}/runs/run_none"

UNKNOWN: list[Malformed] = [
    *(bare(method, ASSISTANT, not_found("assistant", "asst_none")) for method in ("GET", "DELETE")),
    post(ASSISTANT, {}, not_found("assistant", "asst_none")),
    *(bare(method, THREAD, not_found("thread", "thread_none")) for method in ("GET", "DELETE")),
    post(THREAD, {}, not_found("thread", "thread_none")),
    bare("GET", f"{THREAD}/messages", not_found("thread", "thread_none")),
    post(f"{THREAD}/messages", {"role": "user", "content": "x"}, not_found("thread", "thread_none")),
    bare("GET", f"{THREAD}/runs", not_found("thread", "thread_none")),
    post(f"{THREAD}/runs", {"assistant_id": "{assistant}"}, not_found("thread", "thread_none")),
    *(bare(method, MESSAGE, not_found("message", "msg_none")) for method in ("GET", "DELETE")),
    post(MESSAGE, {}, not_found("message", "msg_none")),
    bare("GET", RUN, not_found("run", "run_none")),
    bare("GET", f"{RUN}/events", not_found("run", "run_none")),
    bare("GET", f"{RUN}/steps", not_found("run", "run_none")),
    bare("POST", f"{RUN}/cancel", not_found("run", "run_none")),
    post(RUN, {}, not_found("run", "run_none")),
    post(f"{RUN}/submit_tool_outputs", {"tool_outputs": []}, not_found("run", "run_none")),
    bare("GET", f"{RUN}/steps/step_none", not_found("run step", "step_none")),
    post(
        "/threads/{waiting_thread}/runs/{waiting}/cancel",
        {"now": True},
        Refusal("This API method takes no body.", None, "unknown_parameter"),
    ),
    bare(
        "GET",
        "/threads?limit=1&limit=2",
        twice("limit"),
    ),
    bare("GET", "/threads/{waiting_thread}/runs/{run}", not_found("run", "{run}")),  # another thread's
    bare("GET", "/threads/{waiting_thread}/messages/{message}", not_found("message", "{message}")),
    bare("GET", "/threads/{waiting_thread}/runs/{waiting}/steps/{step}", not_found("run step", "{step}")),
    *(bare(method, FILE, not_found("file", "file-none")) for method in ("GET", "DELETE")),
    bare("GET", f"{FILE}/content", not_found("file", "file-none")),
    bare(
        "GET",
        "/models/nobody/has-it",
        Refusal("The model 'nobody/has-it' does not exist.", "model", "model_not_found", 404),
    ),
]

MIXED_UP: list[Malformed] = [
    *(bare(method, "/threads/undefined", wrong_id("thread_id", "undefined", "thread")) for method in ("GET", "DELETE")),
    post("/threads/null", {}, wrong_id("thread_id", "null", "thread")),
    bare("GET", "/assistants/thread_x", wrong_id("assistant_id", "thread_x", "asst")),
    bare("DELETE", "/assistants/undefined", wrong_id("assistant_id", "undefined", "asst")),
    bare("GET", "/threads/run_x/runs/thread_x", wrong_id("thread_id", "run_x", "thread")),
    bare("GET", "/threads/{thread}/runs/thread_x", wrong_id("run_id", "thread_x", "run")),
    bare("GET", "/threads/{thread}/runs/undefined/events", wrong_id("run_id", "undefined", "run")),
    bare("POST", "/threads/{thread}/runs/undefined/cancel", wrong_id("run_id", "undefined", "run")),
    bare("GET", "/threads/{thread}/runs/{run}/steps/run_x", wrong_id("step_id", "run_x", "step")),
    bare("GET", "/threads/{thread}/messages/run_x", wrong_id("message_id", "run_x", "msg")),
    bare("GET", "/files/asst_x", wrong_id("file_id", "asst_x", "file")),
    bare("GET", "/files/asst_x/content", wrong_id("file_id", "asst_x", "file")),
]

INCLUDED = "step_details.tool_calls[*].file_search.results[*].content"
LISTS = (
    "/assistants",
    "/threads",
    "/threads/{thread}/messages",
    "/threads/{thread}/runs",
    "/threads/{thread}/runs/{run}/steps",
    "/vector_stores",
    "/vector_stores/{store}/files",
    "/vector_stores/{store}/file_batches/{batch}/files",
)
HERE = {"assistant_id": "{assistant}"}
FILTERED = ("/threads", "/threads/{thread}/messages", "/threads/{thread}/runs")
STEPS = ("/threads/{thread}/runs/{run}/steps", "/threads/{thread}/runs/{run}/steps/{step}")
PAGES: list[Malformed] = [
    *(bare("GET", f"{path}?limit=0", below("limit", "integer", 1, "0")) for path in (*LISTS, "/files")),
    *(bare("GET", f"{path}?limit=-1", below("limit", "integer", 1, "-1")) for path in LISTS),
    *(bare("GET", f"{path}?limit=101", above("limit", "integer", 100, "101")) for path in LISTS),
    bare("GET", "/files?limit=10001", above("limit", "integer", 10_000, "10001")),
    *(bare("GET", f"{path}?limit=ten", expected("limit", "an integer", "a string")) for path in (*LISTS, "/files")),
    *(bare("GET", f"{path}?limit=", expected("limit", "an integer", "a string")) for path in LISTS),
    *(bare("GET", f"{path}?order=up", unsupported("order", "up", "asc", "desc")) for path in (*LISTS, "/files")),
    *(bare("GET", f"{path}?after=nothing", no_cursor("after", "nothing")) for path in (*LISTS, "/files")),
    *(bare("GET", f"{path}?before=nothing", no_cursor("before", "nothing")) for path in LISTS),
    *(bare("GET", f"{path}?after=", no_cursor("after", "")) for path in LISTS),
    bare("GET", "/assistants?after={thread}", no_cursor("after", "{thread}")),
    bare("GET", "/threads/{thread}/messages?before={run}", no_cursor("before", "{run}")),
    bare("GET", "/files?before={file}", unknown("before")),
    *(bare("GET", f"{path}?colour=red", unknown("colour")) for path in (*LISTS, "/files", "/models")),
    bare("GET", "/threads/{thread}/messages?run_id=undefined", wrong_id("run_id", "undefined", "run")),
    bare("GET", "/threads/{thread}/runs/{run}?assistantd=perhaps", expected("assistantd", "a boolean", "a string")),
    *(bare("GET", f"{path}?metadata=b", no_filter("metadata")) for path in FILTERED),
    *(bare("GET", f"{path}?metadata.a=b", no_filter("metadata.a")) for path in FILTERED),
    bare("GET", "/threads?metadata[a=b", no_filter("metadata[a")),
    *(
        bare("GET", f"{path}?metadata[a]=b", unknown("metadata[a]"))
        for path in (
            "/assistants",
            "/files",
            "/threads/{thread}",
            "/threads/{thread}/runs/{run}/steps",
            "/vector_stores",
        )
    ),
    bare("GET", "/threads?order_by=length", unsupported("order_by", "length", "created_at", "last_activity")),
    bare("GET", "/threads/{thread}/runs?order_by=created_at", unknown("order_by")),
    post("/threads/{thread}/runs?include[]=x", HERE, unsupported("include[]", "x", INCLUDED)),
    post(f"/threads/{{thread}}/runs?include={INCLUDED}", HERE, unknown("include")),
    post(f"/threads/runs?include[]={INCLUDED}", HERE, unknown("include[]")),
    *(bare("GET", f"{path}?include[]=x", unsupported("include[]", "x", INCLUDED)) for path in STEPS),
    *(
        bare("GET", f"{path}?include[]={INCLUDED}&include[]=x", unsupported("include[]", "x", INCLUDED))
        for path in STEPS
    ),
    *(bare("GET", f"{path}?include={INCLUDED}", unknown("include")) for path in STEPS),
    bare("GET", f"/threads/{{thread}}/runs/{{run}}?include[]={INCLUDED}", unknown("include[]")),
    Malformed(
        "GET",
        "/threads/{thread}/runs/{run}/events",
        Refusal("Invalid 'Last-Event-ID': 'first'. Expected the id of an event of this run.", "Last-Event-ID"),
        headers={"last-event-id": "first"},
    ),
]

METHODS: list[Malformed] = [
    *(bare("PUT", path, no_method("PUT", path)) for path in ("/assistants", "/threads", "/files", "/models")),
    *(bare("PATCH", path, no_method("PATCH", path)) for path in ("/assistants/asst_x", "/threads/thread_x")),
    bare("DELETE", "/assistants", no_method("DELETE", "/assistants")),
    bare("DELETE", "/threads/thread_x/runs/run_x", no_method("DELETE", "/threads/thread_x/runs/run_x")),
    bare("DELETE", "/models/m", no_method("DELETE", "/models/m")),
    bare("GET", "/threads/thread_x/runs/run_x/cancel", no_method("GET", "/threads/thread_x/runs/run_x/cancel")),
    bare("GET", "/nothing", no_url("GET", "/nothing")),
    bare("POST", "/assistants/asst_x/files", no_url("POST", "/assistants/asst_x/files")),
    bare("GET", "/assistants/", no_url("GET", "/assistants/")),
]

BODIES = ("/assistants", "/threads", "/threads/{thread}/messages", "/threads/{thread}/runs", "/threads/runs")
CONTENTS: list[Malformed] = [
    *(raw(path, b"{", no_json("unexpected end of data")) for path in BODIES),
    raw("/assistants", b'{"model": "m"', no_json("unexpected end of data")),
    raw("/assistants", b"{'model': 'm'}", no_json("unexpected character, expected a string key")),
    raw("/assistants", b"nonsense", no_json("invalid literal, expected 'null'")),
    raw("/assistants", b"\xff\xfe", no_json("str is not valid UTF-8: surrogates not allowed")),
    raw("/assistants", b'{"model": "m", "temperature": NaN}', no_json("unexpected character, expected a JSON value")),
    raw("/assistants", b'{"model": "m", "temperature": 1e400}', no_json("number is infinity when parsed as double")),
    raw("/assistants", rb'{"model": "\ud800"}', no_json("no low surrogate in string")),
    raw("/assistants", b'{"model":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, no_json("depth limit exceeded")),
    raw("/assistants", b"", NO_OBJECT),
    *(raw(path, b"model=m", other_kind("text/plain"), kind="text/plain") for path in BODIES),
    raw("/assistants", b"{}", other_kind("application/x-www-form-urlencoded"), "application/x-www-form-urlencoded"),
    raw("/assistants", b"<a/>", other_kind("application/xml; charset=utf-8"), "application/xml; charset=utf-8"),
    raw("/files", b"{}", other_kind("application/json", "multipart/form-data")),
    raw("/assistants", b" " * (16 * 1024 * 1024 + 1), TOO_LARGE),
    raw("/threads/{thread}/messages", b" " * (16 * 1024 * 1024 + 1), TOO_LARGE),
    post(
        "/threads",
        {},
        Refusal(
            "Invalid 'OpenAI-Beta' header. Please try again by setting 'OpenAI-Beta: assistants=v2'.",
            None,
            "invalid_beta",
        ),
        openai_beta="assistants=v9",
    ),
    post(
        "/threads",
        {},
        Refusal("An Idempotency-Key has 1 to 255 characters.", "Idempotency-Key"),
        idempotency_key="k" * 256,
    ),
]

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
OURS = {"purpose": "assistants"}
ANCHOR, SECONDS = "expires_after[anchor]", "expires_after[seconds]"
NAMELESS = Refusal("A file needs a name of 1 to 512 characters of Unicode.", "file")
UPLOADS: list[Malformed] = [
    form({}, missing("purpose")),
    form({"purpose": "jokes"}, unsupported("purpose", "jokes", *PURPOSES)),
    form({"purpose": ""}, missing("purpose")),
    form(OURS, missing("file"), filename=None),
    form({**OURS, "file": "content"}, expected("file", "a file", "a string"), filename=None),
    form({**OURS, SECONDS: "3600"}, Refusal("'expires_after' takes both 'anchor' and 'seconds'.", "expires_after")),
    form(
        {**OURS, ANCHOR: "created_at"}, Refusal("'expires_after' takes both 'anchor' and 'seconds'.", "expires_after")
    ),
    form({**OURS, ANCHOR: "created_at", SECONDS: "60"}, below(SECONDS, "integer", 3600, "60")),
    form({**OURS, ANCHOR: "created_at", SECONDS: "2592001"}, above(SECONDS, "integer", 2_592_000, "2592001")),
    form({**OURS, ANCHOR: "created_at", SECONDS: "soon"}, expected(SECONDS, "an integer", "a string")),
    form({**OURS, ANCHOR: "last_active_at", SECONDS: "3600"}, unsupported(ANCHOR, "last_active_at", "created_at")),
    form({"purpose": ["assistants", "vision"]}, twice("purpose")),
    form({**OURS, "colour": "red"}, unknown("colour")),
    form(OURS, NAMELESS, filename="x" * 513),
]

ADDRESSES = [*UNKNOWN, *MIXED_UP, *PAGES, *METHODS, *CONTENTS, *UPLOADS]
