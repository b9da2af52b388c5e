"""All attempts against one level: some sessions at once, each attempt in order within its own."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from tests.sandbox.attacks import bombs, collector, filesystem, kernel, network, others, protocol
from tests.sandbox.attacks.attack import Attack, Verdict
from tests.sandbox.attacks.bait import Bait
from tests.sandbox.calls import run
from tests.sandbox.service import SandboxService
from worker.sandbox.client import SandboxClient, SandboxSession, UnavailableError
from worker.sandbox.errors import RefusalError

CATEGORIES = {
    "files": filesystem.ATTACKS,
    "network": network.ATTACKS,
    "processes": others.ATTACKS,
    "kernel": kernel.ATTACKS,
    "exhaustion": bombs.ATTACKS,
    "protocol": protocol.ATTACKS,
    "collector": collector.ATTACKS,
}
AT_ONCE = 4
ATTACKS = [(category, attack) for category, attacks in CATEGORIES.items() for attack in attacks]


class Campaign:
    """One service, one bait."""

    def __init__(self, level: str, service: SandboxService, client: SandboxClient, bait: Bait) -> None:
        self.level = level
        self.slowest = 0.0  # seconds that the neighbour waited for the worst of its calls
        self._service = service
        self._client = client
        self._bait = bait
        self._outside = asyncio.Lock()

    async def fight(self, categories: Collection[str] = tuple(CATEGORIES)) -> list[Verdict]:
        """Every attempt of these categories, while a neighbour goes on working."""
        chosen = [(category, attack) for category, attack in ATTACKS if category in categories]
        waiting = list(enumerate(chosen))[::-1]
        verdicts: dict[int, Verdict] = {}

        async def soldier() -> None:
            session: SandboxSession | None = None
            while waiting:
                position, (category, attack) = waiting.pop()
                if session is None or attack.apart:
                    session = await self._client.open(f"attack-{uuid4().hex}")
                verdicts[position], is_alive = await self._attack(category, attack, session)
                if attack.apart or not is_alive:
                    await self._close(session)
                    session = None
            if session is not None:
                await self._close(session)

        neighbour = asyncio.create_task(self._neighbour())
        await asyncio.gather(*(soldier() for _ in range(AT_ONCE)))
        neighbour.cancel()
        await asyncio.gather(neighbour, return_exceptions=True)
        return [verdicts[position] for position in sorted(verdicts)]

    async def _attack(self, category: str, attack: Attack, session: SandboxSession) -> tuple[Verdict, bool]:
        began = time.monotonic()
        heard = await run(session, attack.program(self._bait.facts), seconds=attack.seconds)
        seconds = time.monotonic() - began
        found = [line.removeprefix("BREACH: ") for line in heard.text().splitlines() if line.startswith("BREACH: ")]
        breach = found[0] if found else None
        if seconds > attack.seconds + 4:
            breach = f"it took {seconds:.1f} s"
        if breach is None and attack.after is not None and not (heard.done.is_lost and category == "collector"):
            breach = await attack.after(session, self._bait)
        control = attack.without_control or await self._control(attack)
        ended = heard.done.status if heard.done.reason is None else f"{heard.done.status}: {heard.done.reason}"
        return Verdict(category, attack, self.level, breach, control, ended, seconds), not heard.done.is_lost

    async def _control(self, attack: Attack) -> str:
        """One at a time: they share what they do harm to."""
        async with self._outside:
            return "succeeds" if await _succeeds_outside(attack.program(self._bait.facts_outside)) else "FAILS"

    async def _close(self, session: SandboxSession) -> None:
        try:
            await self._client.end(session.id)
        except (RefusalError, UnavailableError):
            return

    async def _neighbour(self) -> None:
        session = await self._client.open("neighbour")
        await session.put("of-the-neighbour.txt", b"mine")
        await run(session, "n = 0")
        while True:
            began = time.monotonic()
            heard = await run(session, "n += 1\nn")
            assert heard.done.status == "ok", heard.events
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(0.1)


async def _succeeds_outside(program: str) -> bool:
    with tempfile.TemporaryDirectory() as place:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=place
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()
            return False
    return b"BREACH: " in output


def _root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="assistantd-attacks-"))
    root.chmod(0o711)  # sessions of a service that is root are other users
    return root


@asynccontextmanager
async def campaign(level: str, settings: dict[str, object] | None = None) -> AsyncGenerator[Campaign]:
    """A service at that level, something to attack, and a place for both."""
    root = _root()
    service = SandboxService(root, level=level, minimum=level, memory_mb=512, warm=4, **(settings or {})).start()
    try:
        with Bait(root / "bait") as bait:
            async with service.client() as client:
                yield Campaign(level, service, client, bait)
    finally:
        service.stop()
        shutil.rmtree(root)
