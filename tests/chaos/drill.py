"""The whole thing: start the stack, let clients live and things go wrong, wait for calm, judge."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

import psycopg

from tests.chaos.administration import told_of_usage
from tests.chaos.clients import Client
from tests.chaos.faults import FAULTS, go_wrong, supervise
from tests.chaos.ledger import Kind, Ledger, Story
from tests.chaos.stack import LEASE, Stack, running
from tests.chaos.upstream import Upstream
from tests.chaos.verdict import Verdict, judge
from tests.chaos.wire import Wire

CLIENTS = 50
APIS = 2
WORKERS = 3
MISHAPS = 0.1
CALM_WITHIN_S = 60.0
KINDS = (Kind.STREAMED, Kind.STREAMED, Kind.POLLED, Kind.TOOLS, Kind.CANCELLED)
KINDS_OF_THE_WHOLE = (*KINDS, *KINDS, *KINDS, Kind.CODE, Kind.FILES)

_ACTIVE = "SELECT count(*) FROM runs WHERE status IN ('queued', 'in_progress')"


@dataclass(frozen=True)
class Drill:
    """How much of it: so many runs, as far as they can be begun within the time."""

    runs: int
    within: timedelta
    seed: int = 0
    faults: Sequence[str] = tuple(FAULTS)
    pause_s: tuple[float, float] = (1.0, 5.0)
    """Between faults."""
    mishaps: float = MISHAPS
    """Share of the model's answers that go wrong."""
    whole: bool = False
    """With a worker that reads files and a sandbox, and runs that need them."""


async def carry_out(drill: Drill, root: Path) -> Verdict:
    """Call it from the main thread."""
    rng = random.Random(drill.seed)
    ledger = Ledger()
    upstream = Upstream(ledger, random.Random(rng.random()), drill.mishaps)
    await upstream.start()
    try:
        async with running(root, upstream.base_url, apis=APIS, workers=WORKERS, whole=drill.whole) as stack:
            began, began_at = time.monotonic(), time.time()
            await _live(drill, stack, ledger, rng)
            lived_s = time.monotonic() - began
            await _calm(stack)
            heard = await stack.heard()
            await stack.send_workers_home()
            verdict = await judge(ledger, stack, heard, await told_of_usage(stack, began_at))
    finally:
        await upstream.stop()
    return _with_setting(verdict, drill, lived_s)


async def _live(drill: Drill, stack: Stack, ledger: Ledger, rng: random.Random) -> None:
    key = await stack.system.key("chaos")
    wire = Wire(key, stack.base_urls, random.Random(rng.random()))
    async with wire.session:
        assistant = await wire.ask("POST", "/assistants", {"model": "chaos"})
        stories = _stories(drill, ledger)
        clients = [Client(wire, assistant["id"], ledger, random.Random(rng.random())) for _ in range(CLIENTS)]
        living = asyncio.gather(*(client.serve(stories) for client in clients))
        fate = random.Random(rng.random())
        trouble = [
            asyncio.create_task(go_wrong(stack, drill.faults, drill.pause_s, ledger, fate)),
            asyncio.create_task(supervise(stack, ledger)),
        ]
        try:
            await asyncio.wait({*trouble, living}, return_when=asyncio.FIRST_COMPLETED)
            for task in trouble:
                if task.done():
                    task.result()
            await living
        finally:
            for task in trouble:
                task.cancel()
            await asyncio.gather(*trouble, return_exceptions=True)


def _stories(drill: Drill, ledger: Ledger) -> Iterator[Story]:
    """As many as were asked for, and more until every fault has had its turn, unless time is up before."""
    until = time.monotonic() + drill.within.total_seconds()
    kinds = KINDS_OF_THE_WHOLE if drill.whole else KINDS
    for number in count():
        enough = number >= drill.runs and all(ledger.counts[f"fault: {name}"] for name in drill.faults)
        if enough or time.monotonic() > until:
            return
        yield Story(f"chaos-{drill.seed}n{number}x", kinds[number % len(kinds)])


async def _calm(stack: Stack) -> None:
    """Nothing goes wrong any more: whatever waits for a worker is to find one."""
    async with await psycopg.AsyncConnection.connect(stack.system.database_url, autocommit=True) as connection:
        until = time.monotonic() + CALM_WITHIN_S
        while time.monotonic() < until:
            row = await (await connection.execute(_ACTIVE)).fetchone()
            if row == (0,):
                return
            await asyncio.sleep(LEASE.total_seconds() / 4)


def _with_setting(verdict: Verdict, drill: Drill, lived_s: float) -> Verdict:
    setting = {
        "lease s": None if drill.whole else LEASE.total_seconds(),
        "clients": CLIENTS,
        "api processes": APIS,
        "workers": WORKERS,
        "share of answers that go wrong": drill.mishaps,
        "seed": drill.seed,
        "seconds": round(lived_s, 1),
    }
    verdict.facts = {**setting, **verdict.facts}
    return verdict
