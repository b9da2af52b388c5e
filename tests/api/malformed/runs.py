"""Runs that can't be made or changed, and outputs that can't be submitted."""

from typing import Any

from tests.api.malformed.assistants import FIELDS as ASSISTANT_FIELDS
from tests.api.malformed.assistants import function
from tests.api.malformed.refusals import (
    NO_OBJECT,
    Refusal,
    above,
    below,
    empty,
    expected,
    long_array,
    long_string,
    missing,
    not_found,
    unknown,
    unsupported,
    wrong_id,
)
from tests.api.malformed.request import post
from tests.api.malformed.threads import METADATA, in_a_list


def lacking(what: str) -> Refusal:
    """A choice of a tool that the run doesn't have."""
    return Refusal(f"Invalid 'tool_choice': the run does not have {what}.", "tool_choice", "invalid_value")


A = {"assistant_id": "{assistant}"}
RUNS_PATH = "/threads/{thread}/runs"
TOGETHER = "/threads/runs"
SUBMIT = "/threads/{waiting_thread}/runs/{waiting}/submit_tool_outputs"
INTEGER = 2**31 - 1
NOT_OF_RUNS = {"name", "description", "file_ids", "tool_resources", "reasoning_effort", "id", "Name", "colour"}

# Fields beside a good assistant, refused alike by a run on a thread and by one that comes with its thread.
FIELDS: list[tuple[dict[str, Any], Refusal]] = [
    *(  # a run takes most of what an assistant has, on the same terms; but fewer tools
        (fields, refusal)
        for fields, refusal in ASSISTANT_FIELDS
        if not NOT_OF_RUNS & set(fields) and (refusal.param, refusal.code) != ("tools", "array_above_max_length")
    ),
    ({"assistant_id": None}, expected("assistant_id", "a string", "null")),
    ({"assistant_id": 4}, expected("assistant_id", "a string", "an integer")),
    ({"assistant_id": ""}, empty("assistant_id", "string")),
    ({"assistant_id": "undefined"}, wrong_id("assistant_id", "undefined", "asst")),
    ({"assistant_id": "asst_none"}, not_found("assistant", "asst_none")),
    ({"colour": "red"}, unknown("colour")),
    ({"tools": [function()] * 21}, long_array("tools", 20, 21)),
    ({"tool_choice": "maybe"}, unsupported("tool_choice", "maybe", "none", "auto", "required")),
    ({"tool_choice": {}}, missing("tool_choice.type")),
    ({"tool_choice": {"type": "function"}}, missing("tool_choice.function")),
    ({"tool_choice": {"type": "function", "function": {}}}, missing("tool_choice.function.name")),
    (
        {"tool_choice": {"type": "magic"}},
        unsupported("tool_choice.type", "magic", "function", "code_interpreter", "file_search"),
    ),
    ({"tool_choice": {"type": "file_search", "function": {"name": "f"}}}, unknown("tool_choice.function")),
    ({"tool_choice": "required"}, lacking("any tool")),
    ({"tool_choice": "required", "tools": []}, lacking("any tool")),
    ({"tool_choice": {"type": "function", "function": {"name": "g"}}}, lacking("the function 'g'")),
    (
        {"tool_choice": {"type": "function", "function": {"name": "g"}}, "tools": [function(name="f")]},
        lacking("the function 'g'"),
    ),
    ({"tool_choice": {"type": "file_search"}, "tools": [function()]}, lacking("the tool 'file_search'")),
    ({"parallel_tool_calls": 1}, expected("parallel_tool_calls", "a boolean", "an integer")),
    ({"stream": "yes"}, expected("stream", "a boolean", "a string")),
    ({"stream": 0}, expected("stream", "a boolean", "an integer")),
    ({"max_prompt_tokens": 255}, below("max_prompt_tokens", "integer", 256, "255")),
    ({"max_prompt_tokens": 0}, below("max_prompt_tokens", "integer", 256, "0")),
    ({"max_prompt_tokens": 10**12}, above("max_prompt_tokens", "integer", INTEGER, str(10**12))),
    ({"max_prompt_tokens": "many"}, expected("max_prompt_tokens", "an integer", "a string")),
    ({"max_completion_tokens": 255}, below("max_completion_tokens", "integer", 256, "255")),
    ({"max_completion_tokens": 300.5}, expected("max_completion_tokens", "an integer", "a decimal number")),
    ({"max_completion_tokens": True}, expected("max_completion_tokens", "an integer", "a boolean")),
    ({"truncation_strategy": "auto"}, expected("truncation_strategy", "an object", "a string")),
    ({"truncation_strategy": {}}, missing("truncation_strategy.type")),
    (
        {"truncation_strategy": {"type": "oldest"}},
        unsupported("truncation_strategy.type", "oldest", "auto", "last_messages"),
    ),
    (
        {"truncation_strategy": {"type": "last_messages", "last_messages": 0}},
        below("truncation_strategy.last_messages", "integer", 1, "0"),
    ),
    (
        {"truncation_strategy": {"type": "last_messages", "last_messages": 10**12}},
        above("truncation_strategy.last_messages", "integer", INTEGER, str(10**12)),
    ),
    ({"truncation_strategy": {"type": "auto", "keep": 1}}, unknown("truncation_strategy.keep")),
    *(
        (
            {"truncation_strategy": strategy},
            Refusal(
                "Invalid 'truncation_strategy': 'last_messages' has to be given with type 'last_messages', and only "
                "with it.",
                "truncation_strategy",
                "invalid_value",
            ),
        )
        for strategy in ({"type": "last_messages"}, {"type": "auto", "last_messages": 1})
    ),
]

ONE: Any = {"tool_call_id": "{call}", "output": "x"}

OUTPUTS: list[tuple[Any, Refusal]] = [
    ({}, missing("tool_outputs")),
    ([], NO_OBJECT),
    ({"tool_outputs": None}, expected("tool_outputs", "an array", "null")),
    ({"tool_outputs": {}}, expected("tool_outputs", "an array", "an object")),
    ({"tool_outputs": ["x"]}, expected("tool_outputs[0]", "an object", "a string")),
    ({"tool_outputs": [{"output": "x"}]}, missing("tool_outputs[0].tool_call_id")),
    (
        {"tool_outputs": [{**ONE, "tool_call_id": 4}]},
        expected("tool_outputs[0].tool_call_id", "a string", "an integer"),
    ),
    ({"tool_outputs": [{**ONE, "output": {}}]}, expected("tool_outputs[0].output", "a string", "an object")),
    ({"tool_outputs": [{**ONE, "name": "f"}]}, unknown("tool_outputs[0].name")),
    ({"tool_outputs": [ONE] * 129}, long_array("tool_outputs", 128, 129)),
    ({"tool_outputs": [ONE], "stream": "yes"}, expected("stream", "a boolean", "a string")),
    ({"tool_outputs": [ONE], "colour": "red"}, unknown("colour")),
    (
        {"tool_outputs": [ONE, ONE]},
        Refusal("'tool_outputs' may have one output a call, but have several.", None, "invalid_value"),
    ),
    (
        {"tool_outputs": [{**ONE, "output": "x" * 600_000}]},
        Refusal(
            "'tool_outputs' may have at most 524288 characters together, but have 600000.",
            None,
            "string_above_max_length",
        ),
    ),
    (
        {"tool_outputs": []},
        Refusal("Expected tool outputs for call_ids ['{call}'], got []", "tool_outputs"),
    ),
    (
        {"tool_outputs": [{**ONE, "tool_call_id": "call_other"}]},
        Refusal("Expected tool outputs for call_ids ['{call}'], got ['call_other']", "tool_outputs"),
    ),
]

RUNS = [
    *(post(RUNS_PATH, {**A, **fields}, refusal) for fields, refusal in FIELDS),
    *(post(TOGETHER, {**A, **fields}, refusal) for fields, refusal in FIELDS),
    *(post(path, {}, missing("assistant_id")) for path in (RUNS_PATH, TOGETHER)),
    *(post(path, [], NO_OBJECT) for path in (RUNS_PATH, TOGETHER)),
    post(RUNS_PATH, {**A, "tool_resources": {}}, unknown("tool_resources")),
    post(RUNS_PATH, {**A, "thread": {}}, unknown("thread")),
    post(RUNS_PATH, {**A, "file_ids": []}, unknown("file_ids")),
    post(RUNS_PATH, {**A, "additional_instructions": 4}, expected("additional_instructions", "a string", "an integer")),
    post(
        RUNS_PATH,
        {**A, "additional_instructions": "i" * 256_001},
        long_string("additional_instructions", 256_000, 256_001),
    ),
    post(RUNS_PATH, {**A, "additional_messages": "x"}, expected("additional_messages", "an array", "a string")),
    post(
        RUNS_PATH,
        {**A, "assistantd": {"when_busy": "wait"}},
        unsupported("assistantd.when_busy", "wait", "reject", "enqueue", "cancel_active"),
    ),
    post(RUNS_PATH, {**A, "assistantd": {"when": "busy"}}, unknown("assistantd.when")),
    *in_a_list(RUNS_PATH, "additional_messages", A),
    post(TOGETHER, {**A, "additional_messages": []}, unknown("additional_messages")),
    post(TOGETHER, {**A, "additional_instructions": "x"}, unknown("additional_instructions")),
    post(TOGETHER, {**A, "thread": []}, expected("thread", "an object", "an array")),
    post(TOGETHER, {**A, "thread": "thread_x"}, expected("thread", "an object", "a string")),
    post(TOGETHER, {**A, "thread": {"id": "thread_x"}}, unknown("thread.id")),
    post(TOGETHER, {**A, "thread_id": "thread_x"}, unknown("thread_id")),
    post(
        TOGETHER,
        {**A, "tool_resources": {"code_interpreter": {"file_ids": ["file-none"]}}},
        not_found("file", "file-none"),
    ),
    *in_a_list(TOGETHER, "thread.messages", A),
    *(post("/threads/{thread}/runs/{run}", body, refusal) for body, refusal in METADATA),
    *(post(SUBMIT, body, refusal) for body, refusal in OUTPUTS),
    post(
        "/threads/{thread}/runs/{run}/submit_tool_outputs",
        {"tool_outputs": [ONE]},
        Refusal('Runs in status "completed" do not accept tool outputs.'),
    ),
    post("/threads/{thread}/runs/{run}/cancel", {}, Refusal("Cannot cancel run with status 'completed'.")),
]
