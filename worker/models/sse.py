"""As much of server-sent events as chat completions use: `data:` lines, each a JSON object, until `[DONE]`."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import orjson

from worker.models.errors import AGAIN, ModelError, reported

_DONE = b"data: [DONE]"


async def chunks(stream: AsyncIterable[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects of a stream. It is read to its end, beyond `[DONE]`, so that the connection can be used again.

    Raises ModelError for what is no JSON, for an error that the endpoint reports in the stream, for a stream without
    any choice (an endpoint that can't stream answers with a plain object, which has no such lines), and for one that
    ends without saying so: proxies cut answers off like that.
    """
    rest, empty, ended = b"", True, False
    async for piece in _and_a_last_newline(stream):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            ended = ended or line.startswith(_DONE)
            if (chunk := _parse(line)) is not None:
                empty = empty and not chunk.get("choices")
                ended = ended or _finishes(chunk)
                yield chunk
    if empty:
        raise ModelError("server_error", "The model endpoint's answer is empty, or not a stream.", retryable=True)
    if not ended:
        message = f"The model's answer was cut off (it ended without saying so). {AGAIN}"
        raise ModelError("server_error", message, retryable=True)


async def _and_a_last_newline(stream: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    async for piece in stream:
        yield piece
    yield b"\n"


def _finishes(chunk: dict[str, Any]) -> bool:
    return any(choice.get("finish_reason") for choice in chunk.get("choices") or [])


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"data:"):
        return None
    data = line[5:].strip()
    if not data or data == b"[DONE]":
        return None
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ModelError("server_error", "The model endpoint sent a chunk that is not JSON.", retryable=True) from error
    if not isinstance(chunk, dict):
        raise ModelError("server_error", "The model endpoint sent a chunk that is not an object.", retryable=True)
    if chunk.get("error"):
        raise reported(chunk["error"])  # pyright: ignore[reportUnknownArgumentType]
    return chunk  # pyright: ignore[reportUnknownVariableType]
