"""Streams from the endpoint, cut anywhere."""

from collections.abc import AsyncIterator
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.models.errors import ModelError
from worker.models.sse import chunks

WHOLE = b'data: {"choices": [{}]}\n\n: ping\n\ndata:{"b": "\xc3\xa4"}\r\n\r\ndata: [DONE]\n\n'


NO_CHOICE = b'data: {"choices": [], "usage": {"total_tokens": 1}}\n\ndata: [DONE]\n\n'


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def parsed(*parts: bytes) -> list[dict[str, object]]:
    return [chunk async for chunk in chunks(pieces(*parts))]


@given(st.sets(st.integers(1, len(WHOLE) - 1)))
async def test_where_the_network_cuts_does_not_matter(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]

    assert await parsed(*(WHOLE[a:b] for a, b in pairwise(edges))) == [{"choices": [{}]}, {"b": "ä"}]


async def test_the_last_line_needs_no_end() -> None:
    assert await parsed(b'data: {"choices": [{}]}\n\ndata: [DONE]') == [{"choices": [{}]}]


async def test_a_stream_ends_with_done_or_with_a_reason() -> None:
    finished = {"choices": [{"delta": {}, "finish_reason": "stop"}]}

    assert await parsed(b"data: " + orjson.dumps(finished) + b"\n\n") == [finished]
    with pytest.raises(ModelError, match="cut off"):
        await parsed(b'data: {"choices": [{"delta": {"content": "half an ans"}}]}\n\n')


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"a": \n\n',
        b"data: 5\n\n",
        b"",
        b"<html>",
        b"data: [DONE]\n\n",
        orjson.dumps({"choices": []}),
        NO_CHOICE,
    ],
)
async def test_what_is_no_stream_of_objects_is_an_error_worth_another_try(body: bytes) -> None:
    with pytest.raises(ModelError) as error:
        await parsed(body)

    assert error.value.retryable


async def test_an_error_in_the_stream_is_passed_on() -> None:
    with pytest.raises(ModelError, match="out of memory"):
        await parsed(b'data: {"error": {"message": "out of memory"}}\n\n')
