"""What the model is told."""

from typing import Any

from worker.runs.context import chat


def said(role: str, text: str, run_id: str | None = None) -> dict[str, Any]:
    return {
        "type": "message",
        "run_id": run_id,
        "role": role,
        "content": [{"type": "text", "text": {"value": text, "annotations": []}}],
    }


def called(name: str, output: str, call_id: str = "call_1") -> dict[str, Any]:
    function = {"name": name, "arguments": "{}", "output": output}
    details = {"type": "tool_calls", "tool_calls": [{"id": call_id, "type": "function", "function": function}]}
    return {"type": "tool_calls", "details": details}


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def test_instructions_come_first() -> None:
    assert chat("Be brief.", [said("user", "Hi")], {}) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert roles(chat("", [said("user", "Hi")], {})) == ["user"]


def test_calls_follow_what_was_said_before_them_in_one_message() -> None:
    messages = chat("", [said("user", "Hi"), said("assistant", "Let me look."), called("f", "wet")], {})

    assert roles(messages) == ["user", "assistant", "tool"]
    assert messages[1]["content"] == "Let me look."
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == "call_1"


def test_two_exchanges_in_a_row_stay_two() -> None:
    messages = chat("", [said("user", "Hi"), called("f", "a", "call_1"), called("g", "b", "call_2")], {})

    assert roles(messages) == ["user", "assistant", "tool", "assistant", "tool"]


def test_last_messages_counts_messages_and_keeps_the_calls_among_them() -> None:
    items = [
        said("user", "1"),
        called("f", "old", "call_1"),
        said("assistant", "2"),
        said("user", "3"),
        called("g", "new", "call_2"),
    ]

    assert roles(chat("", items, {}, last_messages=1)) == ["user", "assistant", "tool"]
    assert roles(chat("", items, {}, last_messages=2)) == ["assistant", "user", "assistant", "tool"]


def test_calls_whose_question_was_cut_off_are_cut_off_too() -> None:
    assert roles(chat("", [called("f", "lost"), said("user", "Hi")], {})) == ["user"]


def test_images() -> None:
    content = [
        {"type": "text", "text": {"value": "What?", "annotations": []}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "high"}},
        {"type": "image_file", "image_file": {"file_id": "file-gone", "detail": "auto"}},
    ]
    item = {"type": "message", "role": "user", "content": content}

    (message,) = chat("", [item], {"file-1": "data:image/png;base64,AA=="})

    assert message["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "high"}},
        {"type": "text", "text": "[an image that has been deleted]"},
    ]


def test_what_the_run_said_itself_does_not_push_the_question_out() -> None:
    items = [said("user", "old"), said("user", "Q"), said("assistant", "Let me look.", "run_1"), called("f", "wet")]

    told = chat("", items, {}, last_messages=1, run_id="run_1")

    assert roles(told) == ["user", "assistant", "tool"]
    assert told[0]["content"] == "Q"
