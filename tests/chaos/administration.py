"""What the administration is told of usage, over HTTP, by whichever API process is there."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlencode

from tests.chaos.stack import Stack
from tests.chaos.wire import Broken, Json, Refused, Wire

PATIENCE_S = 60.0
PAUSE_S = 0.2

FIGURES: Mapping[str, tuple[str, ...]] = {
    "completions": ("num_model_requests", "input_tokens", "input_cached_tokens", "output_tokens"),
    "code_interpreter_sessions": ("num_sessions",),
    "file_search_calls": ("num_requests",),
}


async def told_of_usage(stack: Stack, began_at: float) -> dict[str, tuple[int, ...]]:
    """By the endpoint: its figures, of all that has been used since then."""
    wire = Wire(await stack.system.admin_key(), stack.base_urls, random.Random())
    async with wire.session:
        return {kind: await _sums(wire, kind, int(began_at) // 60 * 60) for kind in FIGURES}


async def _sums(wire: Wire, kind: str, start_time: int) -> tuple[int, ...]:
    sums, page = Counter[str](), {}
    while True:
        query = urlencode({"start_time": start_time, "bucket_width": "1m", "limit": 10, **page})
        answer = await _answer(wire, f"/organization/usage/{kind}?{query}")
        for bucket in answer["data"]:
            for one in bucket["results"]:
                sums.update({name: one[name] for name in FIGURES[kind]})
        if not answer["has_more"]:
            return tuple(sums[name] for name in FIGURES[kind])
        page = {"page": answer["next_page"]}


async def _answer(wire: Wire, path: str) -> Json:
    """Of a process that may have been started a moment ago, in the place of one that was ended."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await wire.ask("GET", path)
            except (Broken, Refused):
                await asyncio.sleep(PAUSE_S)
