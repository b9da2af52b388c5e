"""Which models there are: the configured aliases, and what the upstream endpoint lists."""

import time
from typing import TYPE_CHECKING, Any

import structlog

from shared.settings import Settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

log = structlog.get_logger(__name__)

REMEMBERED_FOR_S = 60.0
UNKNOWN_FOR_S = 2.0  # how long a model stays unknown that the endpoint has just got
ANY = "*"


class Catalog:
    """Model objects by id. The upstream's list is remembered for a minute; while it can't be had, aliases remain."""

    def __init__(self, settings: Settings) -> None:
        self._aliases = settings.model_aliases
        self._endpoint = settings.upstream
        self._client: AsyncOpenAI | None = None
        self._upstream: dict[str, dict[str, Any]] = {}
        self._asked_at = -REMEMBERED_FOR_S

    async def all(self) -> list[dict[str, Any]]:
        """Every model, aliases first."""
        aliases = {name: _model(name) for name in self._aliases if name != ANY}
        return list((aliases | await self._listed()).values())

    async def get(self, name: str) -> dict[str, Any] | None:
        """One model; any name is one where `*` is an alias."""
        if name in self._aliases or ANY in self._aliases:
            return _model(name)
        known = await self._listed()
        return known[name] if name in known else (await self._listed(UNKNOWN_FOR_S)).get(name)

    async def close(self) -> None:
        """Close the connections to the upstream endpoint."""
        if self._client is not None:
            await self._client.close()

    async def _listed(self, at_most_s: float = REMEMBERED_FOR_S) -> dict[str, dict[str, Any]]:
        if self._endpoint is not None and time.monotonic() >= self._asked_at + at_most_s:
            from openai import AsyncOpenAI, OpenAIError  # noqa: PLC0415 # a third of the process's start, rarely used

            if self._client is None:
                base_url, key = self._endpoint
                self._client = AsyncOpenAI(base_url=base_url, api_key=key, timeout=5, max_retries=0)
            try:
                page = await self._client.models.list()
            except OpenAIError as error:
                log.warning("catalog.upstream_away", error=type(error).__name__)
            else:
                self._upstream = {m.id: _model(m.id, m.created, m.owned_by) for m in page.data or []}
                self._asked_at = time.monotonic()
        return self._upstream


def _model(name: str, created: int | None = None, owned_by: str | None = None) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created or 0, "owned_by": owned_by or "assistantd"}
