"""Windows: how much of each limit was used lately, counted in Redis for all processes.

A window begins with the first thing that it counts, by Redis's clock, and is forgotten a minute later: as much as the
limit gets through in each, and not more. (Two windows may touch: just before and just after they do, twice as much may
pass within less than a minute.) All windows of one question are looked at and written by one script, at once.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import structlog

from shared.metrics import limits as metrics
from shared.redis import AWAY, connect

log = structlog.get_logger(__name__)

LENGTH = timedelta(minutes=1)
WITHIN_S = 1.0  # for an answer of Redis; nobody waits longer for it
PAUSE_S = 1.0  # after which an absent Redis is asked again
AT_ONCE = 16  # questions under way, each on a connection of its own

# KEYS: windows. ARGV: the length in ms, then of each window its limit (below 0: none) and what is to be counted.
# Answers with the place of the first window that has no room, or 0, and of each what is used and the ms that are left.
_SCRIPT = """
local refused, answer = 0, {}
for place, key in ipairs(KEYS) do
  local limit, cost = tonumber(ARGV[2 * place]), tonumber(ARGV[2 * place + 1])
  local used = tonumber(redis.call('GET', key) or 0)
  if refused == 0 and limit >= 0 and used + math.max(cost, 1) > limit then refused = place end
  answer[2 * place] = used
  answer[2 * place + 1] = math.max(redis.call('PTTL', key), 0)
end
if refused == 0 then
  for place, key in ipairs(KEYS) do
    local cost = tonumber(ARGV[2 * place + 1])
    if cost > 0 then
      answer[2 * place] = redis.call('INCRBY', key, cost)
      if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[1]) end
      answer[2 * place + 1] = redis.call('PTTL', key)
    end
  end
end
answer[1] = refused
return answer"""


class Window(NamedTuple):
    """What is asked of one window: to count `cost`, if that stays within `limit`. Without a limit it is counted in any
    case; a cost of 0 asks whether there is room for anything.
    """

    key: str
    limit: int | None
    cost: int


class Count(NamedTuple):
    """What a window has counted, this question included, and how long it has left; none where it has not begun."""

    used: int
    left: timedelta


class Answer(NamedTuple):
    """Of each window its count, in order; `refused` is the place of the first that has no room: then nothing counts."""

    counts: Sequence[Count]
    refused: int | None


class Windows:
    """The way to the windows. Connects with the first question."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url)
        self._script = self._redis.register_script(_SCRIPT)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._silent_until = 0.0
        self._away = False

    async def ask(self, *windows: Window) -> Answer | None:
        """What all of these windows say together, in one round trip; None while Redis is away or too slow. Then nobody
        knows whether they have counted.
        """
        if time.monotonic() < self._silent_until:
            metrics.UNCOUNTED.inc()
            return None
        arguments: list[int] = [LENGTH // timedelta(milliseconds=1)]
        for window in windows:
            arguments += [-1 if window.limit is None else window.limit, window.cost]
        try:
            async with asyncio.timeout(WITHIN_S), self._room:
                reply: Any = await self._script(keys=[window.key for window in windows], args=arguments)
        except AWAY as error:
            self._is_away(error)
            return None
        if self._away:
            self._away = False
            log.info("limits.counted_again")
        refused, *facts = map(int, reply)
        counts = [Count(used, timedelta(milliseconds=left)) for used, left in zip(facts[::2], facts[1::2], strict=True)]
        return Answer(counts, None if refused == 0 else refused - 1)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _is_away(self, error: BaseException) -> None:
        metrics.UNCOUNTED.inc()
        self._silent_until = time.monotonic() + PAUSE_S
        if not self._away:
            self._away = True
            log.warning("limits.uncounted", error=type(error).__name__)


def of_requests(project_id: str, limit: int | None, model: str = "") -> Window:
    """One more request: of the project altogether, or to one model."""
    return Window(f"limit:{project_id}:requests:{model}", limit, 1)


def of_tokens(project_id: str, model: str, limit: int | None, tokens: int = 0) -> Window:
    """Tokens that a turn cost; without them, is there room for more?"""
    return Window(f"limit:{project_id}:tokens:{model}", limit, tokens)
