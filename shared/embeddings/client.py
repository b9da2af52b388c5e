"""Asking the configured endpoint for embeddings."""

import asyncio
import importlib
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from shared import tls
from shared.settings import Settings
from shared.tracing import genai

TIMEOUT = timedelta(seconds=60)  # a batch of long texts, on a busy processor
TRIES_AGAIN = 1  # at once; whoever has more time asks again
NOT_NOW = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
DIMENSIONS = 16_000  # that Postgres keeps
LENGTH = 65_504  # of a vector before it is made 1: more is more than a number of 16 bits can be

Vector = list[float]


class Embedded(NamedTuple):
    """One vector a text, and what they cost: tokens as the endpoint counts them, 0 where it doesn't."""

    vectors: list[Vector]
    requests: int = 0
    tokens: int = 0


class Unavailable(Exception):
    """The endpoint is away, busy or out of order: it may answer later."""


class Refused(Exception):
    """The endpoint won't do this: the message says what it answered, and never what it was asked."""


class Endpoint:
    """Where requests in OpenAI's manner are sent. The client is loaded with the first one: it takes half a second."""

    def __init__(self, base_url: str, key: str, authorities: Path | None = None) -> None:
        self._authorities = authorities
        self._where = {"base_url": base_url, "api_key": key}
        self._client: Any = None
        self._openai: Any = None

    async def post(self, path: str, body: Mapping[str, Any], within: timedelta) -> bytes:
        """What the endpoint answers, all tries taken together `within` that time. Raises Unavailable, Refused."""
        client = await self._connected()
        errors = self._openai
        try:
            async with asyncio.timeout(within.total_seconds()):
                answer = await client.post(path, body=body, cast_to=self._answer)
        except TimeoutError as error:
            raise Unavailable("TimeoutError") from error
        except errors.APIStatusError as error:
            status = error.status_code
            if status in NOT_NOW or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise Unavailable(f"HTTP {status}") from error
            raise Refused(f"answered with {status}") from error
        except errors.OpenAIError as error:
            raise Unavailable(tls.why(error) or type(error.__cause__ or error).__name__) from error
        return answer.content

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()

    async def _connected(self) -> Any:
        if self._client is None:
            self._openai = await asyncio.to_thread(importlib.import_module, "openai")
            self._answer = (await asyncio.to_thread(importlib.import_module, "httpx2")).Response
            trust = tls.verifying(self._authorities)
            http = self._openai.DefaultAioHttpClient(timeout=TIMEOUT.total_seconds(), verify=trust)
            self._client = self._openai.AsyncOpenAI(**self._where, http_client=http, max_retries=TRIES_AGAIN)
        return self._client


class Embeddings:
    """The one way to the embedding model."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError if no endpoint is configured."""
        if settings.embeddings is None:
            raise ValueError("no endpoint for embeddings is configured")
        base_url, key, self.model = settings.embeddings
        self.window = settings.embedding_window
        self._dimensions = settings.embedding_dimensions
        self._batch = settings.embedding_batch
        self._endpoint = Endpoint(base_url, key, settings.ca_file)

    async def embed(self, texts: Sequence[str], *, within: timedelta = TIMEOUT) -> Embedded:
        """One vector a text, all of one length; none of the texts may be empty. `within` is for each request.

        Raises Unavailable, Refused.
        """
        vectors: list[Vector] = []
        requests = tokens = 0
        for first in range(0, len(texts), self._batch):
            some, cost = await self._ask(texts[first : first + self._batch], within)
            vectors += some
            requests, tokens = requests + 1, tokens + cost
        if len({len(vector) for vector in vectors}) > 1:
            raise Refused("answered with vectors of several lengths")
        return Embedded(vectors, requests, tokens)

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoint.close()

    async def _ask(self, texts: Sequence[str], within: timedelta) -> tuple[list[Vector], int]:
        body: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": "float"}
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        with genai.embeddings(self.model, len(texts)) as span:
            raw = await self._endpoint.post("/embeddings", body, within)
            span.set({genai.EMBEDDINGS_DIMENSIONS: self._dimensions})
        try:
            answer = orjson.loads(raw)
            data = sorted(answer["data"], key=lambda one: one["index"])
            vectors: list[Vector] = [[float(number) for number in one["embedding"]] for one in data]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise Refused("answered something else than embeddings") from None
        if len(vectors) != len(texts) or not all(vectors):
            raise Refused(f"answered {len(texts)} texts with {len(vectors)} vectors")
        if any(len(vector) > DIMENSIONS for vector in vectors):
            raise Refused(f"answered with more than {DIMENSIONS} dimensions, which are the most that can be kept")
        if not all(math.hypot(*vector) <= LENGTH for vector in vectors):
            raise Refused("answered with numbers that are too large, or none")
        if self._dimensions is not None and len(vectors[0]) != self._dimensions:
            raise Refused(f"answered with {len(vectors[0])} dimensions in place of {self._dimensions}")
        return vectors, _tokens(answer)


def _tokens(answer: Any) -> int:
    usage = answer.get("usage")
    told = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return told if isinstance(told, int) and told > 0 else 0
