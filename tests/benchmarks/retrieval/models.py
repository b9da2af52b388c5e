"""The embedding models that are compared, served as any is: by OpenAI's `/v1/embeddings`."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import wordllama
from aiohttp import web

from shared.embeddings.client import Embeddings
from shared.settings import Settings
from tests.ports import free_port
from worker.embedder.app import application
from worker.embedder.facts import WINDOW
from worker.embedder.lanes import Embedder, Lanes
from worker.embedder.model import Embedded, Model

KEY = "bench"


class WordLlama:
    """Vectors of words, taken from a large model's table and averaged: hundreds of times as fast as a transformer."""

    name = "wordllama-l2-supercat"
    dimensions = 256

    def __init__(self) -> None:
        """Load it from its wheel."""
        where = Path(wordllama.__file__).parent
        self._model: Any = wordllama.WordLlama.load(cache_dir=where, dim=self.dimensions, disable_download=True)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """One vector a text, none of which is empty."""
        return Embedded(self._model.embed(list(texts), norm=True), 0)


MODELS: Mapping[str, Callable[[], Embedder]] = {
    f"all-MiniLM-L6-v2, 8 bits, windows of {WINDOW}": Model,
    f"wordllama l2_supercat, 256 numbers, windows of {WINDOW}": WordLlama,
}
"""By what is said of them."""


@asynccontextmanager
async def serving(model: Embedder) -> AsyncGenerator[Embeddings]:
    """The model behind an address of its own, and the server's own client of it."""
    lanes, port = Lanes(model), free_port()
    runner = web.AppRunner(application(lanes, KEY), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    settings = Settings.model_validate(
        {
            "database_url": "postgresql://nowhere",
            "redis_url": "redis://nowhere",
            "embedding_base_url": f"http://127.0.0.1:{port}/v1",
            "embedding_api_key": KEY,
            "embedding_model": model.name,
            "embedding_window": WINDOW,
        }
    )
    client = Embeddings(settings)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()
        lanes.close()
