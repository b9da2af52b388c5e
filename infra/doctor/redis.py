"""Redis, or Valkey: can it be reached, is it new enough, does it keep what it is given."""

from collections.abc import AsyncIterator
from typing import Any

from infra.doctor.finding import Finding, fail, first_line, ok, warn
from shared.redis import AWAY, connect
from shared.settings import Settings

OLDEST = (6, 2)
WITHIN_S = 5
POLICY = "noeviction"


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """The server and its policy; nothing after the first line where it doesn't answer."""
    client = connect(settings.redis_url, socket_timeout=WITHIN_S)
    try:
        told: dict[str, Any] = await client.info()
    except AWAY as error:
        yield fail("redis", f"does not answer: {first_line(error)} (ASSISTANTD_REDIS_URL)")
        return
    finally:
        await client.aclose()
    yield _version(told)
    yield _policy(told)
    yield _persistence(told)


def _version(told: dict[str, Any]) -> Finding:
    """Valkey says which Redis it is like, and its own version besides."""
    name = "Valkey" if "valkey_version" in told else "Redis"
    version = str(told.get("valkey_version", told["redis_version"]))
    if int(told.get("cluster_enabled", 0)):
        return fail("redis", "is a cluster, which the queue's client can't use: a single server, or Sentinel")
    if tuple(int(part) for part in str(told["redis_version"]).split(".")[:2]) < OLDEST:
        return fail("redis", f"is {name} {version}; Redis {'.'.join(map(str, OLDEST))} or later is needed")
    return ok("redis", f"{name} {version}")


def _policy(told: dict[str, Any]) -> Finding:
    policy = told["maxmemory_policy"]
    if policy != POLICY:
        return fail("memory", f"maxmemory-policy is {policy}: under pressure it drops queued runs; set {POLICY}")
    limit = told["maxmemory_human"] if int(told["maxmemory"]) else "no limit"
    return ok("memory", f"{policy}, {told['used_memory_human']} used, {limit}")


def _persistence(told: dict[str, Any]) -> Finding:
    if int(told["aof_enabled"]):
        if told["aof_last_write_status"] != "ok":
            return fail("persistence", "Redis can't write its append-only file: is its disk full?")
        return ok("persistence", "append-only file")
    if told["rdb_last_bgsave_status"] != "ok":
        return fail("persistence", "Redis can't write its snapshots: is its disk full?")
    message = "no append-only file: a restart loses tokens of streams, and rings, which are rung again (appendonly yes)"
    return warn("persistence", message)
