"""Which models there are: the configured aliases, and what the upstream endpoint lists."""

import asyncio
import importlib
import time
from typing import TYPE_CHECKING, Any

import structlog

from shared import tls
from shared.settings import Settings
from shared.wire.shapes.files import ModelObject

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
        self._authorities = settings.ca_file
        self._client: AsyncOpenAI | None = None
        self._asking = asyncio.Lock()
        self._upstream: dict[str, ModelObject] = {}
        self._asked_at = -REMEMBERED_FOR_S

    async def all(self) -> list[ModelObject]:
        """Every model, aliases first."""
        aliases = {name: _model(name) for name in self._aliases if name != ANY}
        return list((aliases | await self._listed()).values())

    async def get(self, name: str) -> ModelObject | None:
        """One model; any name is one where `*` is an alias."""
        if name in self._aliases or ANY in self._aliases:
            return _model(name)
        known = await self._listed()
        return known[name] if name in known else (await self._listed(UNKNOWN_FOR_S)).get(name)

    async def close(self) -> None:
        """Close the connections to the upstream endpoint."""
        if self._client is not None:
            await self._client.close()

    async def _listed(self, at_most_s: float = REMEMBERED_FOR_S) -> dict[str, ModelObject]:
        async with self._asking:  # one asks, the others wait for its answer
            if self._endpoint is not None and time.monotonic() >= self._asked_at + at_most_s:
                try:
                    self._upstream = await self._ask(self._endpoint)
                except Exception as error:  # noqa: BLE001 # whatever the endpoint sends must not cost us our own list
                    log.warning("catalog.upstream_away", error=tls.why(error) or type(error).__name__)
                self._asked_at = time.monotonic()
        return self._upstream

    async def _ask(self, endpoint: tuple[str, str]) -> dict[str, ModelObject]:
        """The endpoint's own list. Raises the client's errors, and others for answers of odd shapes."""
        client = self._client
        if client is None:
            openai = await asyncio.to_thread(importlib.import_module, "openai")  # half a second, rarely needed
            base_url, key = endpoint
            http = openai.DefaultAsyncHttpxClient(verify=tls.verifying(self._authorities))
            client = self._client = openai.AsyncOpenAI(
                base_url=base_url, api_key=key, http_client=http, timeout=5, max_retries=0
            )
        page: Any = await client.models.list()
        return {model.id: _model(model.id, model.created, model.owned_by) for model in page.data or []}


def _model(name: str, created: int | None = None, owned_by: str | None = None) -> ModelObject:
    return {"id": name, "object": "model", "created": created or 0, "owned_by": owned_by or "assistantd"}
