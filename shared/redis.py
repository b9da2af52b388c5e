"""One writer to Redis a process: whatever piles up while a pipeline is in flight leaves in the next one.

Round trips therefore fall as load rises, order is kept, and nobody waits for Redis: what is sent is a doorbell or an
event, and both can be lost without losing a fact (the sweeper rings again, a reader looks at the row).
"""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

import redis
import redis.asyncio
import structlog
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from shared import tls
from shared.metrics.process import DROPPED
from shared.sentinel import Watched, is_watched
from shared.settings import PREFIX, SettingsError

log = structlog.get_logger(__name__)

Command = tuple[str | bytes | int, ...]

MAX_PENDING_BYTES = 64 * 1024 * 1024  # kept while a pipeline is in flight; beyond it the newest are dropped
PING_EVERY_S = 5.0
DEAD_AFTER_S = 15.0
LENGTH_WITHIN_S = 0.5

AWAY = (RedisError, OSError, RuntimeError)
"""What it raises when Redis can't be reached. uvloop speaks of a connection that has just closed as a RuntimeError."""

_STALE = "equal or smaller"  # how Redis refuses the entry of a worker that lost its lease


def connect(url: str, **options: Any) -> "redis.asyncio.Redis":
    """A client with the timeouts that we want everywhere: a frozen Redis is noticed within seconds."""
    options |= {
        "socket_keepalive": True,
        "socket_connect_timeout": 3,
        "health_check_interval": 10,
        "retry": Retry(NoBackoff(), 0),  # each of our callers knows better what to do next
    }
    if not is_watched(url):
        return redis.asyncio.Redis.from_url(tls.without_options(url), **options, **tls.of_redis(url))
    watched = Watched.parse(url)
    sentinel = Sentinel(watched.sentinels, sentinel_kwargs=watched.sentinel_options)
    return sentinel.master_for(watched.name, **watched.options, **options)


def refuse_cluster(url: str) -> None:
    """Raises SettingsError if that is a Redis Cluster: its keys are on several servers, and Celery's transport takes
    several keys at once. One that does not answer, or tells nobody, is believed to be none.
    """
    if is_watched(url):
        return
    try:
        patience = {"socket_connect_timeout": 3, "socket_timeout": 3}
        with redis.Redis.from_url(tls.without_options(url), **patience, **tls.of_redis(url)) as client:
            facts: Any = client.info("cluster")
    except AWAY:
        return
    if facts.get("cluster_enabled"):
        raise SettingsError(
            f"{PREFIX}REDIS_URL: this is a Redis Cluster, which Celery can't use as its broker: give a server that is "
            "alone, or one behind Sentinel (sentinel://…)"
        )


async def published(channels: PubSub) -> AsyncGenerator[dict[str, Any]]:
    """What is published, and confirmations of subscriptions. Raises RedisError when the connection is gone, also where
    nothing says so: a connection that does not even answer a ping is dead.
    """
    silent_s = 0.0
    while silent_s < DEAD_AFTER_S:
        message = await channels.get_message(timeout=PING_EVERY_S)
        if message is None:
            silent_s += PING_EVERY_S
            await channels.ping()
            continue
        silent_s = 0.0
        if message["type"] != "pong":
            yield message
    raise ConnectionLost("the subscription does not answer")


class Sender(Protocol):
    """Whoever takes commands that nobody waits for."""

    def send(self, commands: Sequence[Command]) -> None:
        """Take commands, to be sent in order."""
        ...


class Outbox:
    """Sends commands in order, in pipelines, in the background. A failed pipeline is dropped and said once."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url, socket_timeout=10, max_connections=4)
        self._pending: list[Command] = []
        self._pending_bytes = 0
        self._sender: asyncio.Task[None] | None = None
        self._down = False

    def send(self, commands: Sequence[Command]) -> None:
        """Queue `commands` and return at once. Call it from the event loop's thread."""
        size = sum(len(part) for command in commands for part in command if isinstance(part, str | bytes))
        if self._pending_bytes + size > MAX_PENDING_BYTES:
            DROPPED.inc(len(commands))
            self._say_down("too much is waiting to be sent")
            return
        self._pending_bytes += size
        self._pending.extend(commands)
        if self._sender is None:
            # of no request's context: its logs would bear the ids of whoever happened to wake it
            self._sender = asyncio.create_task(self._send_all(), context=contextvars.Context())

    async def length(self, key: str) -> int | None:
        """How many elements a list has; None while Redis is away, or too slow to wait for."""
        try:
            async with asyncio.timeout(LENGTH_WITHIN_S):
                reply: Any = await self._redis.execute_command("LLEN", key)
        except AWAY:
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
                batch, self._pending, self._pending_bytes = self._pending, [], 0
                await self._send(batch)
        finally:
            self._sender = None

    async def _send(self, batch: Sequence[Command]) -> None:
        """Send a batch, twice if need be: the first failure may be that of a connection that died while it was idle.

        Twice is harmless: an entry of a log has its id, readers drop what they have seen, rings may be repeated.
        """
        try:
            await self._execute(batch)
        except AWAY:
            try:
                await self._redis.connection_pool.disconnect()
                await self._execute(batch)
            except AWAY as error:
                DROPPED.inc(len(batch))
                self._say_down(repr(error))
                return
        if self._down:
            self._down = False
            log.info("redis.back")

    async def _execute(self, batch: Sequence[Command]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for command in batch:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and _STALE not in str(reply):
                raise reply

    def _say_down(self, reason: str) -> None:
        if not self._down:
            self._down = True
            log.warning(
                "redis.away", reason=reason, meaning="events and doorbells are dropped; the sweeper rings again"
            )
