"""How far apart the clocks are: of this machine, of Postgres, of Redis.

Nothing is decided by comparing two clocks: leases and expiry go by Postgres's alone. But S3 refuses requests that seem
15 minutes old, certificates seem invalid, and logs of several machines can't be read side by side.
"""

import time
from collections.abc import AsyncIterator

import psycopg

from infra.doctor.finding import Finding, ok, warn
from shared.redis import AWAY, connect
from shared.settings import Settings

TOLERATED_S = 2.0
WITHIN_S = 5


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """One line; nothing where neither server answers, which others say."""
    apart = {
        name: offset
        for name, offset in (("Postgres", await _of_postgres(settings)), ("Redis", await _of_redis(settings)))
        if offset is not None
    }
    if not apart:
        return
    told = ", ".join(f"{name} {offset:+.2f} s" for name, offset in apart.items())
    clocks = [0.0, *apart.values()]
    if max(clocks) - min(clocks) > TOLERATED_S:
        yield warn("clocks", f"apart from this machine's: {told}; is time synchronised (NTP) everywhere?")
    else:
        yield ok("clocks", f"together: {told}")


async def _of_postgres(settings: Settings) -> float | None:
    try:
        connection = await psycopg.AsyncConnection.connect(
            settings.database_url, autocommit=True, connect_timeout=WITHIN_S
        )
        async with connection:
            sent = time.time()
            row = await (await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")).fetchone()
            return None if row is None else row[0] - _middle(sent)
    except (psycopg.Error, OSError):
        return None


async def _of_redis(settings: Settings) -> float | None:
    client = connect(settings.redis_url, socket_timeout=WITHIN_S)
    try:
        await client.ping()
        sent = time.time()
        seconds, microseconds = await client.time()
        return seconds + microseconds / 1e6 - _middle(sent)
    except AWAY:
        return None
    finally:
        await client.aclose()


def _middle(sent: float) -> float:
    """When the answer was made, by our clock, as far as we can know."""
    return (sent + time.time()) / 2
