"""Who is served when: a question that somebody waits for is not kept behind a book that is being read."""

import asyncio
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from worker.embedder.model import Embedded

SHORT = 4  # texts, at most, of a request that goes before others ...
SHORT_CHARACTERS = 2000  # ... and their characters together
BLOCK = 4  # texts of a long request that are done before anybody looks whether it is still wanted
NICE = 10  # of the threads that do long ones


class Embedder(Protocol):
    """What makes vectors; used by several threads at once."""

    name: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> Embedded:
        """One vector a text, none of which is empty."""
        ...


class Lanes:
    """One thread for short requests, and for long ones as many as there are processors less one, niced."""

    def __init__(self, model: Embedder) -> None:
        self.model = model
        self._short = ThreadPoolExecutor(1, "short")
        self._long = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), "long", initializer=_be_nice)

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """All of the texts' vectors. Cancelling it ends the work after the block that is being done."""
        loop = asyncio.get_running_loop()
        if len(texts) <= SHORT and sum(map(len, texts)) <= SHORT_CHARACTERS:
            return await loop.run_in_executor(self._short, self.model.embed, texts)
        blocks = [
            await loop.run_in_executor(self._long, self.model.embed, texts[first : first + BLOCK])
            for first in range(0, len(texts), BLOCK)
        ]
        return Embedded(np.concatenate([block.vectors for block in blocks]), sum(block.tokens for block in blocks))

    def close(self) -> None:
        """End the threads, once they have done their blocks."""
        for lane in (self._short, self._long):
            lane.shutdown(cancel_futures=True)


def _be_nice() -> None:
    if sys.platform == "linux":  # where a thread can be niced by itself
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
