"""One writer to Redis a process: whatever piles up while a pipeline is in flight leaves in the next one.

Round trips therefore fall as load rises, order is kept, and nobody waits for Redis: what is sent is a doorbell or an
event, and both can be lost without losing a fact (the sweeper rings again, a reader looks at the row).
"""

import asyncio
import contextvars
from collections.abc import Sequence
from typing import Any

import redis.asyncio
import structlog
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

Command = tuple[str | bytes | int, ...]

MAX_PENDING = 20_000  # commands kept while a pipeline is in flight; beyond it the newest are dropped


def connect(url: str, **options: Any) -> "redis.asyncio.Redis":
    """A client with the timeouts that we want everywhere: a frozen Redis is noticed within seconds."""
    return redis.asyncio.Redis.from_url(
        url, socket_keepalive=True, socket_connect_timeout=3, health_check_interval=10, **options
    )


class Outbox:
    """Sends commands in order, in pipelines, in the background. A failed pipeline is dropped and said once."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url, socket_timeout=10, max_connections=4)
        self._pending: list[Command] = []
        self._sender: asyncio.Task[None] | None = None
        self._down = False

    def send(self, commands: Sequence[Command]) -> None:
        """Queue `commands` and return at once. Call it from the event loop's thread."""
        if len(self._pending) >= MAX_PENDING:
            self._say_down("too many commands are waiting")
            return
        self._pending.extend(commands)
        if self._sender is None:
            # of no request's context: its logs would bear the ids of whoever happened to wake it
            self._sender = asyncio.create_task(self._send_all(), context=contextvars.Context())

    async def length(self, key: str) -> int | None:
        """How many elements a list has; None while Redis is away."""
        try:
            reply: Any = await self._redis.execute_command("LLEN", key)
        except (RedisError, OSError):
            return None
        return int(reply)

    async def flush(self) -> None:
        """Wait until everything queued so far has been sent or dropped."""
        while self._sender is not None:
            await self._sender

    async def close(self) -> None:
        """Send what is queued, then close the connection."""
        await self.flush()
        await self._redis.aclose()

    async def _send_all(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                await self._send(batch)
        finally:
            self._sender = None

    async def _send(self, batch: Sequence[Command]) -> None:
        """Send a batch, twice if need be: the first failure may be that of a connection that died while it was idle.

        Twice is harmless: an entry of a log has its id, readers drop what they have seen, rings may be repeated.
        """
        try:
            await self._execute(batch)
        except (RedisError, OSError):
            try:
                await self._redis.connection_pool.disconnect()
                await self._execute(batch)
            except (RedisError, OSError) as error:
                self._say_down(repr(error))
                return
        if self._down:
            self._down = False
            log.info("redis.back")

    async def _execute(self, batch: Sequence[Command]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for command in batch:
            pipeline.execute_command(*command)
        # Single refusals are expected: Redis rejects the XADD of a worker that lost its lease (its id is lower).
        await pipeline.execute(raise_on_error=False)

    def _say_down(self, reason: str) -> None:
        if not self._down:
            self._down = True
            log.warning(
                "redis.away", reason=reason, meaning="events and doorbells are dropped; the sweeper rings again"
            )
