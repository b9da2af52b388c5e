"""What this machine could do at most, measured in the same minutes as everything else."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import psycopg
import redis.asyncio

from shared.queue import RUNS_QUEUE, message_template
from tests.benchmarks import processes
from tests.benchmarks.bench import Bench, wait_until
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.spread import Spread

FIGURES = (
    Figure("limit_tasks_per_s", "/s", "empty Celery tasks a second through our pool"),
    Figure("limit_commit_ms", "ms", "Postgres: a single-row commit, one at a time"),
    Figure("limit_commits_per_s", "/s", "Postgres: single-row commits a second, 10 connections"),
    Figure("limit_xadds_per_s", "/s", "Redis: XADDs a second, pipelines of 100"),
    Figure("limit_spin_ms", "ms", "a million additions in Python: this machine's speed just now"),
)
TASKS_PER_S = 2000  # roughly: how many tasks are enough
CONNECTIONS = 10
BATCH = 100
ADDITIONS = 1_000_000


def _measure(bench: Bench) -> Values:
    bench.discard()
    spins = Spread([_spin_ms() for _ in range(5)])
    values = asyncio.run(_servers(bench))
    return values | {"limit_tasks_per_s": _tasks(bench), "limit_spin_ms": Measured(spins.median, str(spins))}


def _tasks(bench: Bench) -> Measured:
    """Push so many rings, then see how long a worker takes for them from its start on."""
    count = round(TASKS_PER_S * bench.sizes.limits_s)
    client, template = bench.redis(), message_template()
    client.delete(RUNS_QUEUE)
    environment = {
        **os.environ,
        "ASSISTANTD_DATABASE_URL": bench.postgres.url,
        "ASSISTANTD_REDIS_URL": bench.valkey.url,
    }
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.empty_worker", str(count)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        blocked = "blocked_clients"
        if worker.stdout is None or not wait_until(lambda: bool(client.info("clients")[blocked])):  # pyright: ignore[reportIndexIssue]
            raise TimeoutError("the worker did not begin to listen")
        pipeline = client.pipeline(transaction=False)
        for number in range(count):
            pipeline.lpush(RUNS_QUEUE, template.message(f"run_{number:024}", "thread_", "proj_", "0"))
        cpu_s, began = processes.cpu_s(worker.pid), time.perf_counter()
        pipeline.execute()
        if worker.stdout.readline() != b"done\n":
            raise RuntimeError("the worker ended early")
        took = time.perf_counter() - began
        cpu_ms = (processes.cpu_s(worker.pid) - cpu_s) / count * 1000
    finally:
        worker.kill()
        worker.wait()
        if worker.stdout is not None:
            worker.stdout.close()
    return Measured(count / took, f"{cpu_ms:.2f} ms of CPU each")


async def _servers(bench: Bench) -> dict[str, Measured]:
    seconds = bench.sizes.limits_s
    async with _table(bench):
        alone = await _commits(bench, seconds)
        together = await asyncio.gather(*(_commits(bench, seconds) for _ in range(CONNECTIONS)))
    xadds = await _xadds(bench, seconds)
    latency = Spread([took * 1000 for took in alone])
    return {
        "limit_commit_ms": Measured(latency.median, str(latency)),
        "limit_commits_per_s": Measured(sum(len(commits) for commits in together) / seconds),
        "limit_xadds_per_s": Measured(xadds / seconds),
    }


@asynccontextmanager
async def _table(bench: Bench) -> AsyncGenerator[None]:
    async with await psycopg.AsyncConnection.connect(bench.postgres.url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE limits (id bigserial PRIMARY KEY, said text)")
        yield
        await connection.execute("DROP TABLE limits")


async def _commits(bench: Bench, seconds: float) -> list[float]:
    """How long each commit took, one after the other for so many seconds."""
    taken: list[float] = []
    async with await psycopg.AsyncConnection.connect(bench.postgres.url, autocommit=True) as connection:
        deadline = time.perf_counter() + seconds
        while (began := time.perf_counter()) < deadline:
            await connection.execute("INSERT INTO limits (said) VALUES ('one row')")
            taken.append(time.perf_counter() - began)
    return taken


async def _xadds(bench: Bench, seconds: float) -> int:
    done, deadline = 0, time.perf_counter() + seconds
    async with redis.asyncio.Redis.from_url(bench.valkey.url) as client:
        while time.perf_counter() < deadline:
            pipeline = client.pipeline(transaction=False)
            for _ in range(BATCH):
                pipeline.xadd("limits", {"e": "x" * 200}, maxlen=5000, approximate=True)
            await pipeline.execute()
            done += BATCH
        await client.delete("limits")
    return done


def _spin_ms() -> float:
    began, total = time.process_time(), 0
    for number in range(ADDITIONS):
        total += number
    return (time.process_time() - began) * 1000


LIMITS = Measurement("limits", FIGURES, _measure)
