"""An embedding model whose opinions a test has written down: words that mean the like."""

import asyncio
import hashlib
import math
from collections import Counter
from http import HTTPStatus
from itertools import takewhile

import orjson
from aiohttp import web

from tests.ports import free_port

DIMENSIONS = 512


class ScriptedEmbeddings:
    """Texts are near each other as far as they share words, or words of one of `meanings`.

    `requests` has the texts of each request that was heard. While `away` it hears nobody and counts `refusals`; what is
    in `refused` it refuses; `gate` holds every answer back; `instead` is said in place of an answer, as it is, whatever
    was asked. `asked` is set by each request. As a reranker it says how many of the question's letters a text begins
    with.
    """

    def __init__(self, *meanings: str, dimensions: int = DIMENSIONS) -> None:
        self.dimensions = dimensions
        self.requests: list[list[str]] = []
        self.away = False
        self.refusals = 0
        self.refused: str | None = None
        self.instead: web.Response | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self._meanings = {word: group.split()[0] for group in meanings for word in group.split()}
        self._port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def texts(self) -> list[str]:
        """All that was asked for, in order."""
        return [text for request in self.requests for text in request]

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/embeddings", self._embed)
        app.router.add_post("/v1/rerank", self._rerank)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def vector(self, text: str) -> list[float]:
        """What the model says of a text."""
        words = Counter(self._meanings.get(word, word) for word in text.lower().replace(".", " ").split())
        numbers = [0.0] * self.dimensions
        for word, count in words.items():
            numbers[int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimensions] += count
        length = math.hypot(*numbers)
        return [number / length for number in numbers]

    async def _rerank(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        if self.away:
            return web.json_response({"error": {"message": "away"}}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        query = body["query"]
        scores = [_in_common(query, text) / len(query) for text in body["documents"]]
        results = [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]
        return web.json_response({"results": sorted(results, key=lambda result: -result["relevance_score"])})

    async def _embed(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        if self.away:
            self.refusals += 1
            self.asked.set()
            return web.json_response({"error": {"message": "away"}}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        texts = body["input"]
        self.requests.append(texts)
        self.asked.set()
        await self.gate.wait()
        if self.instead is not None:
            headers = {"Retry-After": value} if (value := self.instead.headers.get("Retry-After")) else None
            return web.Response(body=self.instead.body, status=self.instead.status, headers=headers)
        if self.refused is not None and any(self.refused in text for text in texts):
            return web.json_response({"error": {"message": "refused"}}, status=HTTPStatus.BAD_REQUEST)
        data = [{"object": "embedding", "index": n, "embedding": self.vector(text)} for n, text in enumerate(texts)]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})


def _in_common(one: str, other: str) -> int:
    """How many characters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
