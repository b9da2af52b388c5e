"""Chunks of answers, as different servers send them."""

import json
from datetime import UTC, datetime
from typing import Any

from worker.models.deltas import Answer


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


def call(arguments: str, **fields: Any) -> dict[str, Any]:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {"type": "function", "function": {"arguments": arguments, **name}, **fields}


def answer_of(*chunks: dict[str, Any]) -> Answer:
    answer = Answer(datetime(2026, 1, 1, tzinfo=UTC), ("run_1", 0))
    for one in chunks:
        answer.add(one)
    return answer


def test_text_is_put_together() -> None:
    answer = answer_of(chunk(role="assistant", content=""), chunk(content="Good "), chunk(content="day."))

    assert answer.text == "Good day."
    assert answer.calls == []


def test_a_chunk_without_choices_holds_the_usage() -> None:
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
    }

    answer = answer_of(chunk(content="x"), {"choices": [], "usage": usage})

    assert answer.usage == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_parallel_calls_may_be_interleaved() -> None:
    answer = answer_of(
        chunk(tool_calls=[call('{"a"', index=0, id="call_a", name="f"), call('{"b"', index=1, id="call_b", name="g")]),
        chunk(tool_calls=[call(": 2}", index=1)]),
        chunk(tool_calls=[call(": 1}", index=0)]),
    )

    assert [(c.id, c.name, json.loads(c.arguments)) for c in answer.calls] == [
        ("call_a", "f", {"a": 1}),
        ("call_b", "g", {"b": 2}),
    ]


def test_whole_calls_without_indexes() -> None:
    answer = answer_of(
        chunk(tool_calls=[call("{}", id="call_a", name="f")]), chunk(tool_calls=[call("{}", id="call_b", name="f")])
    )

    assert [c.id for c in answer.calls] == ["call_a", "call_b"]


def test_whole_calls_that_all_claim_the_first_index() -> None:
    answer = answer_of(
        chunk(tool_calls=[call("{}", index=0, id="call_a", name="f")]),
        chunk(tool_calls=[call("{}", index=0, id="call_b", name="g")]),
    )

    assert [(c.id, c.name, c.arguments) for c in answer.calls] == [("call_a", "f", "{}"), ("call_b", "g", "{}")]


def test_calls_without_ids_get_the_same_ones_each_time() -> None:
    pieces = chunk(tool_calls=[call("{}", index=0, name="f"), call("{}", index=1, name="g")])

    first, again = answer_of(pieces), answer_of(pieces)

    assert [c.id for c in first.calls] == [c.id for c in again.calls]
    assert len({c.id for c in first.calls}) == 2


def test_an_id_that_is_used_twice_is_replaced() -> None:
    answer = answer_of(
        chunk(tool_calls=[call("{}", index=0, id="call_x", name="f")]),
        chunk(tool_calls=[call("{}", index=1, id="call_x", name="g")]),
    )

    assert len({c.id for c in answer.calls}) == 2


def test_a_refusal_is_what_was_said() -> None:
    assert answer_of(chunk(refusal="I can't.")).text == "I can't."


def test_null_characters_are_replaced() -> None:
    assert answer_of(chunk(content="a\0b")).text == "a\N{REPLACEMENT CHARACTER}b"
