"""What goes wrong, by name. Each fault is over, and what it ended is back, when its coroutine returns."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import psycopg
import redis.asyncio

from tests.chaos.ledger import Ledger
from tests.chaos.stack import LEASE, Stack, bring_down, bring_up, gone
from tests.system import Process

WATCH_EVERY_S = 0.2
START_WITHIN = timedelta(seconds=120)  # of a process beside 50 clients that want all of the machine

Fault = Callable[[Stack, random.Random], Awaitable[None]]


async def kill_worker(stack: Stack, rng: random.Random) -> None:
    """SIGKILL; another one takes its place."""
    place = rng.randrange(len(stack.workers))
    stack.lose(stack.workers[place], "killed")
    stack.workers[place].kill()
    stack.start_worker(place)


async def freeze_worker(stack: Stack, rng: random.Random) -> None:
    """SIGSTOP for longer than the lease: it wakes up as a zombie."""
    worker = rng.choice(stack.workers)
    stack.lose(worker, "frozen")
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(LEASE.total_seconds() * 1.5)
    worker.signal(signal.SIGCONT)


async def drain_worker(stack: Stack, rng: random.Random) -> None:
    """SIGTERM; another one takes its place at once."""
    place = rng.randrange(len(stack.workers))
    leaving = stack.workers[place]
    stack.start_worker(place)
    leaving.signal(signal.SIGTERM)
    await gone(leaving)


async def roll_worker(stack: Stack, rng: random.Random) -> None:
    """As an orchestrator does it: SIGTERM once another one is ready."""
    await _roll(stack.workers, rng.randrange(len(stack.workers)), stack.start_worker)


async def roll_ingest(stack: Stack, rng: random.Random) -> None:
    """The same with one that reads files."""
    await _roll(stack.ingests, rng.randrange(len(stack.ingests)), stack.start_ingest)


async def roll_sandbox(stack: Stack, _: random.Random) -> None:
    """The same with the sandbox."""
    await _roll(stack.sandboxes, 0, stack.start_sandbox)


async def _roll(processes: list[Process], place: int, start: Callable[[int], None]) -> None:
    leaving = processes[place]
    start(place)
    await asyncio.to_thread(processes[place].wait_until_ready, START_WITHIN)
    leaving.signal(signal.SIGTERM)
    await gone(leaving)


async def kill_api(stack: Stack, rng: random.Random) -> None:
    """SIGKILL; another one takes its port."""
    place = rng.randrange(len(stack.apis))
    stack.apis[place].kill()
    stack.start_api(place)


async def drain_api(stack: Stack, rng: random.Random) -> None:
    """SIGTERM; when it has let its requests end, another one takes its port."""
    place = rng.randrange(len(stack.apis))
    leaving = stack.apis[place]
    stack.leaving.append(leaving)
    leaving.signal(signal.SIGTERM)
    await gone(leaving)
    stack.start_api(place)
    stack.leaving.remove(leaving)
    await asyncio.to_thread(stack.apis[place].wait_until_ready)


async def restart_redis(stack: Stack, rng: random.Random) -> None:
    """Kill -9; up to a second of what it held is lost."""
    await bring_down(stack.valkey, signal.SIGKILL)
    await asyncio.sleep(rng.random())
    await bring_up(stack.valkey)


async def flush_redis(stack: Stack, _: random.Random) -> None:
    """FLUSHALL: doorbells, logs and Celery's own keys are gone."""
    await _tell_redis(stack, "FLUSHALL")


async def cut_redis(stack: Stack, _: random.Random) -> None:
    """Connections are cut, Redis stays."""
    await _tell_redis(stack, "CLIENT", "KILL", "TYPE", "normal")


async def cut_pubsub(stack: Stack, _: random.Random) -> None:
    """Subscriptions are cut."""
    await _tell_redis(stack, "CLIENT", "KILL", "TYPE", "pubsub")


async def restart_postgres(stack: Stack, rng: random.Random) -> None:
    """A "fast" shutdown, and a start."""
    await bring_down(stack.postgres, signal.SIGINT)
    await asyncio.sleep(rng.random())
    await bring_up(stack.postgres)


async def cut_postgres(stack: Stack, _: random.Random) -> None:
    """Every session is ended in the middle of whatever it does."""
    async with await psycopg.AsyncConnection.connect(stack.postgres.url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


async def _tell_redis(stack: Stack, *command: str) -> None:
    client = redis.asyncio.Redis.from_url(stack.valkey.url)  # pyright: ignore[reportUnknownMemberType]
    async with client:
        await client.execute_command(*command)  # pyright: ignore[reportUnknownMemberType]


ROLLS: dict[str, Fault] = {
    "roll-api": drain_api,
    "roll-worker": roll_worker,
    "roll-ingest": roll_ingest,
    "roll-sandbox": roll_sandbox,
}
"""What a new version brings with it: nothing goes wrong by these."""

FAULTS: dict[str, Fault] = {
    "kill": kill_worker,
    "stop": freeze_worker,
    "term": drain_worker,
    "api-term": drain_api,
    "api": kill_api,
    "redis": restart_redis,
    "flush": flush_redis,
    "cut": cut_redis,
    "pubsub": cut_pubsub,
    "postgres": restart_postgres,
    "sessions": cut_postgres,
}


async def supervise(stack: Stack, ledger: Ledger) -> None:
    """Put another in the place of whatever ended although nobody ended it, and remember that."""
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        for processes, start in (
            (stack.apis, stack.start_api),
            (stack.workers, stack.start_worker),
            (stack.ingests, stack.start_ingest),
            (stack.sandboxes, stack.start_sandbox),
        ):
            for place, process in enumerate(processes):
                code = process.popen.poll()
                if code is not None and process not in stack.leaving:
                    ledger.deaths.append(f"{process.log.name}: ended with {code}: {_last_words(process)}")
                    stack.lose(process, "killed")
                    start(place)


def _last_words(process: Process) -> str:
    lines = [line for line in process.tail().splitlines() if "critical" in line or "Error" in line]
    return lines[-1][:300] if lines else ""


async def go_wrong(
    stack: Stack, names: Sequence[str], pause_s: tuple[float, float], ledger: Ledger, rng: random.Random
) -> None:
    """One fault after the other, with such pauses, until cancelled; a fault that has begun is ended."""
    faults = {**FAULTS, **ROLLS}
    remaining: list[str] = []
    while True:
        await asyncio.sleep(rng.uniform(*pause_s))
        if not remaining:  # each has its turn before any has a second one
            remaining = rng.sample(names, len(names))
        name = remaining.pop()
        ledger.counts[f"fault: {name}"] += 1
        fault = asyncio.ensure_future(faults[name](stack, rng))
        try:
            await asyncio.shield(fault)
        except asyncio.CancelledError:
            await fault
            raise
