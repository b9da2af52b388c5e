"""The model: answers by the run's name and turn alone, so that an answer that is asked for again is the same one.

How an answer arrives is chance: mostly whole, sometimes late, refused, cut, empty or garbled.
"""

import random
import re
import time
from datetime import timedelta
from typing import Any

import orjson
from aiohttp import web
from typing_extensions import override

from infra.embedded.process import LOOPBACK
from tests.chaos.ledger import Ledger, Told
from tests.ports import free_port
from tests.scripted_model.answers import Answer
from tests.scripted_model.turns import Break, CallFunctions, Empty, Fail, Garbage, Say, StreamError, Turn
from tests.scripted_model.wire import Json, text_of

NAME = re.compile(r"chaos-\w+")
WORDS = 12
FIRST_NUMBER = 1000
FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
CODE = "import time; time.sleep(0.2); print({name!r})"


def words_of(name: str, turn: int) -> str:
    """What the model says to this run in this turn, when it is left alone."""
    return f"{name} turn {turn}: " + " ".join(f"w{number}" for number in range(WORDS))


class Numbered(Answer):
    """An answer that costs what no other one does: so it is known again among what was counted."""

    def __init__(self, request: web.Request, body: Json, name: str, ledger: Ledger) -> None:
        super().__init__(request, body, self._handed_over)
        self._name = name
        self._worker = request.headers["Authorization"].removeprefix("Bearer ")
        self._ledger = ledger
        self._told: Told | None = None

    @override
    def counts(self, turn: Say | CallFunctions) -> Json:
        said = super().counts(turn)["completion_tokens"]
        number = FIRST_NUMBER + len(self._ledger.told)
        cached = number // 3
        self._told = Told(self._name, self._worker, time.time(), cached, said)
        self._ledger.told[number] = self._told
        details = {"cached_tokens": cached}
        counts = {"prompt_tokens": number, "completion_tokens": said, "total_tokens": number + said}
        return {**counts, "prompt_tokens_details": details}

    def _handed_over(self) -> None:
        if self._told is not None:
            self._told.whole = True


class Upstream:
    """An OpenAI-compatible server on the caller's loop. `mishaps` is the share of answers that go wrong."""

    def __init__(self, ledger: Ledger, rng: random.Random, mishaps: float) -> None:
        self._ledger = ledger
        self._rng = rng
        self._mishaps = mishaps
        self._port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}/v1"

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self._port).start()

    async def stop(self) -> None:
        """Close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = orjson.loads(await request.read())
        asked = next(text_of(message) for message in body["messages"] if message["role"] == "user")
        name = NAME.findall(asked)[0]
        turn = sum(message["role"] == "tool" for message in body["messages"])
        self._ledger.asked[name][turn] += 1
        offered = [tool["function"]["name"] for tool in body.get("tools", ())]
        played = self._turn(name, turn, offered)
        try:
            return await Numbered(request, body, name, self._ledger).play(played)
        except ConnectionResetError:  # a worker that died; aiohttp would write a traceback for each
            return web.Response()

    def _turn(self, name: str, turn: int, offered: list[str]) -> Turn:
        pause = timedelta(milliseconds=self._rng.choice((5, 10, 20)))
        text = words_of(name, turn)
        whole: Say | CallFunctions = Say(text, delay=pause)
        if offered and turn == 0:
            (tool,) = offered
            arguments = {"code": CODE.format(name=name)} if tool == "code_interpreter" else {"queries": [name]}
            whole = CallFunctions([(tool, arguments)], text=text, delay=pause)
        if self._rng.random() >= self._mishaps:
            return whole
        mishap = self._rng.choice(
            (
                Say(text, delay=pause, before=timedelta(seconds=1)) if isinstance(whole, Say) else whole,
                Fail(429, "too many", headers={"Retry-After": "1"}),
                Fail(500),
                Fail(503),
                Break(whole, after=0),
                Break(whole, after=5),
                StreamError(whole, after=5),
                Garbage(),
                Empty(),
            )
        )
        self._ledger.counts[f"upstream: {type(mishap).__name__.lower()}"] += 1
        return mishap
