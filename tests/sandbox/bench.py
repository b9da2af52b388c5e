"""`python -m tests.sandbox.bench`: what a session costs on this machine, next to what was asked for."""

import asyncio
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from tests.sandbox.calls import run, until_warm
from tests.sandbox.service import SandboxService
from worker.sandbox import processes
from worker.sandbox.client import SandboxClient, SandboxSession

FIRST, WARM, HELD = 12, 100, 12
WORK = "import time\nbegan = time.perf_counter()\nsum(range(200_000))\nprint(time.perf_counter() - began)"
GB8 = 8 << 30


async def main() -> None:
    """Measure and print."""
    root = place_for_others()
    service = SandboxService(root, warm=2, capacity=100).start()
    try:
        async with service.client() as client:
            rows = [
                *await _first(client),
                await _warm(client),
                *await _memory(service, client),
                await _frozen(service, client),
            ]
    finally:
        service.stop()
        shutil.rmtree(root)
    for what, measured, wanted in rows:
        print(f"{what:<66} {measured:>12}   asked for: {wanted}")


def place_for_others() -> Path:
    """A directory that the users of a service that is root can pass."""
    root = Path(tempfile.mkdtemp(prefix="assistantd-bench-"))
    root.chmod(0o711)
    return root


async def _first(client: SandboxClient) -> list[tuple[str, str, str]]:
    opened: list[float] = []
    for _ in range(FIRST):
        await until_warm(client, 2)
        began = time.perf_counter()
        session = await client.open(uuid4().hex)
        heard = await run(session, "import pandas as pd\npd.Series([1, 2]).sum()")
        opened.append((time.perf_counter() - began) * 1000)
        assert heard.text("result"), heard.events
        await client.end(session.id)
    return [
        ("first result of pandas in a new session, warm pool, median", f"{statistics.median(opened):.1f} ms", "60 ms"),
        ("the same, slowest", f"{max(opened):.1f} ms", "-"),
    ]


async def _warm(client: SandboxClient) -> tuple[str, str, str]:
    session = await client.open(uuid4().hex)
    above: list[float] = []
    for _ in range(WARM):
        began = time.perf_counter()
        heard = await run(session, WORK)
        above.append((time.perf_counter() - began - float(heard.text("stdout"))) * 1000)
    await client.end(session.id)
    return "warm call, above the code's own time, median", f"{statistics.median(above):.1f} ms", "15 ms"


async def _memory(service: SandboxService, client: SandboxClient) -> list[tuple[str, str, str]]:
    sessions = [await client.open(uuid4().hex) for _ in range(HELD)]
    for session in sessions:
        await run(session, "import pandas as pd\nframe = pd.DataFrame({'a': range(1000)})")
    await until_warm(client, 2)
    found = processes.below(service.pid)
    each = [_rollup(pid) for pid in found]
    residents = [resident for resident, _ in each if resident > 50 << 20]  # interpreters; bubblewrap's own are small
    shared = sum(proportional for _, proportional in each) / len(residents)
    for session in sessions:
        await client.end(session.id)
    return [
        ("an idle session, resident, median", f"{statistics.median(residents) / 1e6:.0f} MB", "130 MB"),
        (f"the same with shared pages divided, {len(residents)} interpreters", f"{shared / 1e6:.0f} MB", "-"),
        ("sessions held on 8 GB, by that", f"{GB8 / shared:.0f}", "-"),
    ]


def _rollup(pid: int) -> tuple[int, int]:
    """Resident and proportional bytes."""
    values = {"Rss:": 0, "Pss:": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, *rest = line.split()
        if name in values:
            values[name] = int(rest[0]) * 1024
    return values["Rss:"], values["Pss:"]


async def _frozen(service: SandboxService, client: SandboxClient) -> tuple[str, str, str]:
    session: SandboxSession = await client.open(uuid4().hex)
    burn = "import threading\ndef burn():\n    while True: pass\nthreading.Thread(target=burn, daemon=True).start()"
    await run(session, burn)
    await until_warm(client, 2)
    before = ticks(service.pid)
    await asyncio.sleep(3)
    used = ticks(service.pid) - before
    await client.end(session.id)
    return "processor time of frozen sessions, one with a busy thread, in 3 s", f"{used * 10} ms", "0"


def ticks(leader: int) -> int:
    """Hundredths of a second that everything below a process has used, itself left out."""
    total = 0
    for pid in processes.below(leader):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


if __name__ == "__main__":
    asyncio.run(main())
