"""As much of server-sent events as chat completions use: `data:` lines, each a JSON object, until `[DONE]`."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import orjson

from worker.models.errors import ModelError, reported

_DONE = b"[DONE]"


async def chunks(stream: AsyncIterable[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects of a stream. It is read to its end, beyond `[DONE]`, so that the connection can be used again.

    Raises ModelError for what is no JSON, for an error that the endpoint reports in the stream, and for a stream that
    holds nothing: an endpoint that can't stream answers with a plain object, which has no such lines.
    """
    rest, empty = b"", True
    async for piece in stream:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if (chunk := _parse(line)) is not None:
                empty = False
                yield chunk
    if (chunk := _parse(rest)) is not None:
        yield chunk
    elif empty:
        raise ModelError("server_error", "The model endpoint's answer is empty, or not a stream.", retryable=True)


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"data:"):
        return None
    data = line[5:].strip()
    if not data or data == _DONE:
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
