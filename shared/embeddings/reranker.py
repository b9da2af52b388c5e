"""A second opinion on what was found: a model that reads question and text together.

The protocol is the one that Cohere began and Jina, vLLM and others speak: `{"model", "query", "documents"}` to
`/rerank`, which answers `{"results": [{"index", "relevance_score"}]}`, scores from 0 to 1.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import orjson

from shared.embeddings.client import Endpoint, Refused
from shared.settings import Settings

PATIENCE = timedelta(seconds=10)


class Reranker(Protocol):
    """Whatever says how well texts answer a question."""

    async def judge(self, query: str, texts: Sequence[str]) -> list[float]:
        """A score from 0 to 1 for each text. Raises Unavailable, Refused."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class HttpReranker:
    """The model at an endpoint."""

    def __init__(self, base_url: str, key: str, model: str, authorities: Path | None = None) -> None:
        self._endpoint = Endpoint(base_url, key, authorities)
        self._model = model

    async def judge(self, query: str, texts: Sequence[str]) -> list[float]:
        """As the endpoint says; what it leaves out is worth nothing. Raises Unavailable, Refused."""
        body = {"model": self._model, "query": query, "documents": texts}
        raw = await self._endpoint.post("/rerank", body, PATIENCE)
        scores = [0.0] * len(texts)
        try:
            for result in orjson.loads(raw)["results"]:
                scores[result["index"]] = min(1.0, max(0.0, float(result["relevance_score"])))
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError):
            raise Refused("answered something else than scores") from None
        return scores

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoint.close()


def reranker_of(settings: Settings) -> Reranker | None:
    """The configured one; None where none is."""
    if settings.reranker_base_url is None or settings.reranker_model is None:
        return None
    key = settings.reranker_api_key
    return HttpReranker(
        settings.reranker_base_url,
        "none" if key is None else key.get_secret_value(),
        settings.reranker_model,
        settings.ca_file,
    )
