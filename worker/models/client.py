"""Streams chat completions from the configured endpoint, trying again while nothing has been heard."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, get_args
from urllib.parse import urlsplit

import httpx2
import structlog
from openai import AsyncOpenAI, DefaultAioHttpClient, OpenAIError

from shared import tls
from shared.metrics.model import FAILURES, FIRST_TOKEN, MODELS, RETRIES
from shared.settings import OPENAI_URL, Settings
from shared.tracing import spans
from shared.tracing.genai import TIME_TO_FIRST_CHUNK
from worker.models import sse
from worker.models.deltas import says_something
from worker.models.errors import ErrorCode, ModelError, cut_off, from_openai

log = structlog.get_logger(__name__)

LONGEST_PAUSE = timedelta(seconds=8)
CONNECT_TIMEOUT_S = 5.0
KEPT_ALIVE = 1000
MOST_CONNECTIONS = 100_000  # more than runs; None is no word for that: aiohttp takes it for its default, 100
ANY = "*"
ATTEMPTS = "assistantd.model_attempts"
for _code in get_args(ErrorCode):  # from the start, so that the first one is seen as growth
    RETRIES.labels(_code)
    FAILURES.labels(_code)

NOTHING: Mapping[str, Any] = {}
ANSWERED = httpx2.Request("POST", "http://answered")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a model is asked until it says its first word, and how long the pause before the second time is."""

    attempts: int
    first_pause: timedelta

    @classmethod
    def of(cls, run: Mapping[str, Any], settings: Settings) -> Self:
        """The run's own, where it has one, else the server's."""
        own: Mapping[str, Any] = run["model_retry"] or {}
        pause = timedelta(seconds=own["pause"]) if "pause" in own else settings.model_pause
        return cls(own.get("attempts", settings.model_attempts), pause)

    def pause(self, attempt: int) -> timedelta:
        """Doubling each time, up to a quarter less, so that many runs don't come back at once."""
        pause: timedelta = min(self.first_pause * 2 ** (attempt - 1), LONGEST_PAUSE)
        return pause * (1 - random.random() / 4)  # noqa: S311 # jitter


class ModelClient:
    """The one way to a model. One HTTP connection for each answer that is being streamed, kept for the next."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError if no model is configured."""
        if settings.upstream is None:
            raise ValueError("no model is configured")
        base_url, key = settings.upstream
        silence_s = settings.model_timeout.total_seconds()
        limits = httpx2.Limits(
            max_connections=MOST_CONNECTIONS, max_keepalive_connections=KEPT_ALIVE, keepalive_expiry=60
        )
        timeout = httpx2.Timeout(silence_s, connect=CONNECT_TIMEOUT_S)
        http = DefaultAioHttpClient(limits=limits, timeout=timeout, verify=tls.verifying(settings.ca_file))
        self._client = AsyncOpenAI(base_url=base_url, api_key=key, http_client=http, max_retries=0, timeout=timeout)
        self._aliases = settings.model_aliases
        self._traces = settings.trace_model
        self.counts_as = "max_completion_tokens" if _is_openai(base_url) else "max_tokens"
        """The parameter that limits an answer: OpenAI has renamed it, most others have not."""

    def upstream_name(self, model: str) -> str:
        """What the endpoint calls the model that a client asked for."""
        return self._aliases.get(model, self._aliases.get(ANY, model))

    async def stream(self, request: Mapping[str, Any], patience: Patience) -> AsyncGenerator[dict[str, Any]]:
        """Yield the chunks of one answer. Closing the generator closes the connection, which stops the model.

        Errors before the first word are tried again, with growing pauses or as long as the endpoint asks for; later
        ones are final, because what was said can't be unsaid. Raises ModelError.
        """
        began, name = time.monotonic(), request["model"]
        for attempt in range(1, patience.attempts + 1):
            heard = False
            try:
                async with aclosing(self._once(request)) as chunks:
                    async for chunk in chunks:
                        if not heard and says_something(chunk):
                            heard, request = True, NOTHING
                            FIRST_TOKEN.labels(MODELS.label(name)).observe(time.monotonic() - began)
                            spans.note({TIME_TO_FIRST_CHUNK: time.monotonic() - began, ATTEMPTS: attempt})
                        yield chunk
            except ModelError as error:
                if heard or not error.retryable:
                    raise
                if attempt == patience.attempts:
                    raise ModelError(error.code, f"{error.message} Tried {attempt} times.") from error
                pause = error.retry_after if error.retry_after is not None else patience.pause(attempt)
                log.info("model.retry", attempt=attempt, pause_s=pause.total_seconds(), code=error.code)
                RETRIES.labels(error.code).inc()
                await asyncio.sleep(pause.total_seconds())
            else:
                return

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _once(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        try:
            answer = await self._ask(request)
            del request
            try:
                async for chunk in sse.chunks(answer.aiter_bytes()):
                    yield chunk
            finally:
                await answer.aclose()
        except OpenAIError as error:
            raise from_openai(error) from error
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            raise cut_off(error) from error

    async def _ask(self, request: Mapping[str, Any]) -> httpx2.Response:
        """The answer, once it has begun.

        All but the model's name goes as the client's `extra_body`, for what it knows by name it walks through message
        by message, a tenth of a millisecond each. And the answer would keep its request alive, some of them megabytes,
        for as long as the model speaks: it is given another one to hold on to.
        """
        body = {**request, "stream_options": {"include_usage": True}}
        create = self._client.chat.completions.with_raw_response.create
        headers = {"traceparent": parent} if self._traces and (parent := spans.traceparent()) else None
        raw = await create(model=request["model"], messages=(), stream=True, extra_body=body, extra_headers=headers)
        raw.http_response.request = ANSWERED
        return raw.http_response


def _is_openai(base_url: str) -> bool:
    return urlsplit(base_url).hostname == urlsplit(OPENAI_URL).hostname
