"""What the model is told."""

from typing import Any

from worker.runs import budget, context
from worker.runs.context import Unit


def said(role: str, text: str, run_id: str | None = None) -> dict[str, Any]:
    return {
        "type": "message",
        "run_id": run_id,
        "role": role,
        "content": [{"type": "text", "text": {"value": text, "annotations": []}}],
    }


def called(name: str, output: str, call_id: str = "call_1", run_id: str | None = None) -> dict[str, Any]:
    function = {"name": name, "arguments": "{}", "output": output}
    details = {"type": "tool_calls", "tool_calls": [{"id": call_id, "type": "function", "function": function}]}
    return {"type": "tool_calls", "run_id": run_id, "details": details}


def chat(instructions: str, items: list[dict[str, Any]], images: dict[str, str], **cut: Any) -> list[dict[str, Any]]:
    return context.chat(instructions, context.units(items, images, **cut))


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


def words(text: str) -> int:
    return len(text.split())


def lengths(*said_by: tuple[str, int]) -> list[Unit]:
    return [[{"role": role, "content": "word " * count}] for role, count in said_by]


def told(units: list[Unit], limit: int, fixed: str = "") -> tuple[list[int], bool]:
    """By how many words each unit is known."""
    fitted = budget.fit(units, fixed, limit, words)
    return [words(unit[0]["content"] or "") for unit in fitted.units], fitted.fits


def test_the_newest_that_fit_are_told() -> None:
    units = lengths(("user", 1), ("assistant", 50), ("user", 20), ("assistant", 10), ("user", 5))
    around = budget.MESSAGE

    assert told(units, 1000) == ([1, 50, 20, 10, 5], True)
    assert told(units, 85 + 4 * around) == ([50, 20, 10, 5], True)
    assert told(units, 84 + 4 * around) == ([20, 10, 5], True)
    assert told(units, 84 + 4 * around, "sixty " * 60) == ([10, 5], True)


def test_the_question_is_told_even_where_it_does_not_fit() -> None:
    units = lengths(("user", 1), ("user", 500))

    assert told(units, 100) == ([500], False)


def test_an_exchange_is_told_whole_or_not_at_all() -> None:
    items = [said("user", "Q"), called("f", "wet " * 30), said("assistant", "A"), said("user", "And now?")]
    units = context.units(items, {})

    assert [len(unit) for unit in units] == [1, 2, 1, 1]
    fitted = budget.fit(units, "", 30, words)
    assert roles([message for unit in fitted.units for message in unit]) == ["assistant", "user"]
    whole = budget.fit(units, "", 1000, words)
    assert list(whole.units) == units


def test_calls_without_their_question_are_not_told() -> None:
    items = [said("user", "Q " * 100), called("f", "wet"), said("user", "And now?")]

    fitted = budget.fit(context.units(items, {}), "", 60, words)

    assert roles([message for unit in fitted.units for message in unit]) == ["user"]


def test_what_this_run_has_called_belongs_to_its_question() -> None:
    items = [said("user", "old " * 50), said("user", "Q"), called("f", "wet " * 50)]

    fitted = budget.fit(context.units(items, {}), "", 90, words)

    assert roles([message for unit in fitted.units for message in unit]) == ["user", "assistant", "tool"]


def test_images_have_their_price() -> None:
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000, "detail": "low"}}
    units: list[Unit] = [[{"role": "user", "content": [url]}], [{"role": "user", "content": "What is it?"}]]

    assert len(budget.fit(units, "", 110, words).units) == 2
    assert budget.fits_uncounted(units, "", 120)
    assert not budget.fits_uncounted(units, "", 100)
