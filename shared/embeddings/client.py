"""Asking the configured endpoint for embeddings."""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import orjson
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAioHttpClient, OpenAIError

from shared.settings import Settings

TIMEOUT = timedelta(seconds=60)  # a batch of long texts, on a busy processor
TRIES_AGAIN = 1  # at once; whoever has more time asks again
NOT_NOW = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}

Vector = list[float]


class EmbeddingsUnavailable(Exception):
    """The endpoint is away, busy or out of order: it may answer later."""


class EmbeddingsRefused(Exception):
    """The endpoint will not embed this: the message says what it answered, and never what it was asked."""


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
        timeout = TIMEOUT.total_seconds()
        http = DefaultAioHttpClient(timeout=timeout)
        self._client = AsyncOpenAI(
            base_url=base_url, api_key=key, http_client=http, max_retries=TRIES_AGAIN, timeout=timeout
        )

    async def embed(self, texts: Sequence[str], *, within: timedelta = TIMEOUT) -> list[Vector]:
        """One vector a text, all of one length; none of the texts may be empty. `within` is for each request.

        Raises EmbeddingsUnavailable, EmbeddingsRefused.
        """
        vectors: list[Vector] = []
        for first in range(0, len(texts), self._batch):
            vectors += await self._ask(texts[first : first + self._batch], within)
        if len({len(vector) for vector in vectors}) > 1:
            raise EmbeddingsRefused("The embedding model answered with vectors of several lengths.")
        return vectors

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _ask(self, texts: Sequence[str], within: timedelta) -> list[Vector]:
        body: dict[str, Any] = {"input": texts, "encoding_format": "float"}
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        try:
            # As `extra_body`: of what the client knows by name it makes copies, value by value.
            raw = await self._client.embeddings.with_raw_response.create(
                model=self.model, input="", extra_body=body, timeout=within.total_seconds()
            )
        except APIStatusError as error:
            if error.status_code in NOT_NOW or error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise EmbeddingsUnavailable(f"HTTP {error.status_code}") from error
            raise EmbeddingsRefused(f"The embedding model's endpoint answered with {error.status_code}.") from error
        except APIConnectionError as error:
            raise EmbeddingsUnavailable(type(error.__cause__ or error).__name__) from error
        except OpenAIError as error:
            raise EmbeddingsUnavailable(type(error).__name__) from error
        return self._vectors(raw.content, len(texts))

    def _vectors(self, raw: bytes, count: int) -> list[Vector]:
        try:
            data = sorted(orjson.loads(raw)["data"], key=lambda one: one["index"])
            vectors: list[Vector] = [[float(number) for number in one["embedding"]] for one in data]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise EmbeddingsRefused("The embedding model's answer is not one of OpenAI's embeddings.") from None
        if len(vectors) != count or not all(vectors):
            raise EmbeddingsRefused(f"The embedding model answered {count} texts with {len(vectors)} vectors.")
        wanted = self._dimensions
        if wanted is not None and len(vectors[0]) != wanted:
            message = f"The embedding model answered with {len(vectors[0])} dimensions in place of {wanted}."
            raise EmbeddingsRefused(message)
        return vectors
