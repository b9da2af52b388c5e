"""`rewrite_query`: a model says a question anew, as one would for a search."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import structlog

from shared.embeddings.client import Endpoint, Refused, Unavailable
from shared.errors import InvalidRequest
from shared.settings import Settings
from shared.usage.facts import Spend, Used
from shared.wire import limits

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=15)
TOKENS = 200
INSTRUCTIONS = (
    "You turn what a person asks into a query for searching in documents. Keep names, numbers and identifiers as they "
    "are written. Leave out courtesies and whatever says nothing about the documents. Answer with the query alone."
)


class Rewriter:
    """The model that says questions anew."""

    def __init__(self, base_url: str, key: str, model: str, authorities: Path | None = None) -> None:
        self._endpoint = Endpoint(base_url, key, authorities)
        self._model = model

    async def rewrite(self, query: str, spend: Spend) -> str:
        """The query in other words; in its own where the model is away or says nothing."""
        messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": query}]
        body = {"model": self._model, "messages": messages, "temperature": 0, "max_tokens": TOKENS}
        try:
            answer = orjson.loads(await self._endpoint.post("/chat/completions", body, PATIENCE))
            spend(Used("completions", self._model, **_counts(answer)))
            said = _said(answer)
        except (Unavailable, Refused, orjson.JSONDecodeError) as error:
            log.warning("search.not_rewritten", error=type(error).__name__)
            return query
        return said.replace("\0", " ").strip()[: limits.SEARCH_QUERY] or query

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoint.close()


def rewriter_of(settings: Settings) -> Rewriter | None:
    """The configured one; None where none is."""
    if settings.rewrite_model is None or settings.upstream is None:
        return None
    return Rewriter(*settings.upstream, settings.rewrite_model, settings.ca_file)


async def rewritten(rewriter: Rewriter | None, queries: Sequence[str], spend: Spend) -> list[str]:
    """The queries in other words; `spend` is told what they cost. Raises InvalidRequest where there is no model to find
    them.
    """
    if rewriter is None:
        message = "'rewrite_query' needs a model on this server, which its owner names in ASSISTANTD_REWRITE_MODEL."
        raise InvalidRequest(message, param="rewrite_query")
    return await asyncio.gather(*(rewriter.rewrite(query, spend) for query in queries))


def _counts(answer: Any) -> dict[str, int]:
    """What the answer says that it cost, whatever else it says."""
    usage: Any = (answer.get("usage") if isinstance(answer, dict) else None) or {}
    asked, said = (int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens"))
    cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    return {"input_tokens": asked, "cached_tokens": max(0, min(cached, asked)), "output_tokens": said}


def _said(answer: Any) -> str:
    try:
        content = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise Refused("answered something else than a completion") from None
    return content if isinstance(content, str) else ""
