"""Sessions: beginnings, ends, what is known of them, and what a crash leaves behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import aiohttp
import pytest
from pydantic import SecretStr

from tests.ports import free_port
from tests.sandbox.bench import ticks
from tests.sandbox.calls import run, until_busy, until_warm, value
from tests.sandbox.service import SandboxService, require
from worker.sandbox.client import SandboxClient, SandboxSession, UnavailableError
from worker.sandbox.errors import (
    BadRequestError,
    BusyError,
    DrainingError,
    FullError,
    LostError,
    NotFoundError,
    StartingError,
    UnauthorizedError,
)
from worker.sandbox.interpreter import Interpreter
from worker.sandbox.limits import DEFAULT
from worker.sandbox.processes import below
from worker.sandbox.sessions import Sessions
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.users import Users

if TYPE_CHECKING:
    from worker.sandbox.isolation.level import Isolation

_WAITS = "import os, time\nwhile not os.path.exists('/mnt/data/go'): time.sleep(0.05)\n'in time'"


async def test_a_repeated_call_is_not_executed_again(session: SandboxSession) -> None:
    code = "import uuid\nprint('printed')\ncount = globals().get('count', 0) + 1\nuuid.uuid4()"
    first = await run(session, code, call_id="once")
    again = await run(session, code, call_id="once")

    assert first.events == again.events
    assert await value(session, "count") == "1"
    with pytest.raises(BusyError, match="other code"):
        await run(session, "1", call_id="once")


async def test_a_call_under_way_is_joined(session: SandboxSession) -> None:
    code = "import time\nprint('begun')\ntime.sleep(1)\ntime.monotonic()"
    first, again = await asyncio.gather(run(session, code, call_id="one"), run(session, code, call_id="one"))

    assert first.events == again.events
    assert first.text("stdout") == "begun\n"


async def test_a_call_outlives_whoever_asked_for_it(service: SandboxService, session: SandboxSession) -> None:
    code = "import time\ntime.sleep(1)\n'done all the same'"
    body = {"generation": session.generation, "call_id": "orphan", "code": code}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {service.secret}"}) as http:
        answer = await http.post(f"{service.url}/sessions/{session.id}/execute", json=body)
        answer.close()  # as if the worker had been killed: nobody says that the call isn't wanted any more

    heard = await run(session, code, call_id="orphan")
    assert heard.text("result") == "'done all the same'\n"


async def test_one_call_at_a_time(session: SandboxSession) -> None:
    long = asyncio.create_task(run(session, "import time\ntime.sleep(7)", call_id="long"))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    with pytest.raises(BusyError, match="the call long is under way"):
        await run(session, "1")
    assert time.monotonic() - began < 6
    await session.cancel("long")
    assert await value(session, "'my turn'") == "'my turn'"
    await long


async def test_a_session_is_found_again_until_it_ends(client: SandboxClient, session: SandboxSession) -> None:
    assert session.is_new
    await run(session, "x = 5")
    again = await client.open(session.id)
    assert not again.is_new
    assert again.generation == session.generation
    assert await value(again, "x") == "5"

    ended = await client.end(session.id)
    assert (ended.reason, ended.generation) == ("closed", session.generation)
    assert 0 < ended.seconds < 60
    with pytest.raises(LostError, match="closed"):
        await run(session, "x")
    anew = await client.open(session.id)
    assert anew.is_new
    assert anew.generation != session.generation
    assert anew.previous == ended
    assert (await run(anew, "x")).failure.name == "NameError"


async def test_an_interpreter_that_dies_is_reported_and_replaced(
    client: SandboxClient, session: SandboxSession
) -> None:
    await session.put("kept.txt", b"by the client")
    heard = await run(session, "import os; os._exit(3)")
    assert (heard.done.status, heard.done.reason, heard.done.is_lost) == ("killed", "died", True)
    with pytest.raises(LostError, match="died"):
        await session.files()
    anew = await client.open(session.id)
    assert anew.previous is not None
    assert anew.previous.reason == "died"
    assert await anew.files() == []


@pytest.mark.alone
async def test_a_frozen_session_uses_no_processor(
    service: SandboxService, client: SandboxClient, session: SandboxSession
) -> None:
    await run(
        session,
        "import threading\ndef burn():\n    while True: pass\nthreading.Thread(target=burn, daemon=True).start()",
    )
    await until_warm(client, 2)
    before = ticks(service.pid)
    await asyncio.sleep(1)

    assert ticks(service.pid) - before <= 1
    assert await value(session, "threading.active_count() > 3") == "True"


async def test_requests_that_make_no_sense_are_refused(client: SandboxClient, session: SandboxSession) -> None:
    for session_id in ("", "a" * 129, "with space", "ümlaut", "../up"):
        with pytest.raises((BadRequestError, NotFoundError, UnavailableError)):
            await client.open(session_id)
    with pytest.raises(NotFoundError):
        await session.cancel("nothing")
    with pytest.raises(BadRequestError, match="call_id"):
        await run(session, "1", call_id="not/a/name")
    for seconds in (0, -1, 601, "soon", True):
        body = {"generation": session.generation, "call_id": "x", "code": "1", "timeout": seconds}
        with pytest.raises(BadRequestError, match="timeout"):
            await client.ask("POST", f"/sessions/{session.id}/execute", json=body)
    for body in (b"[]", b"{", b"{}"):
        with pytest.raises(BadRequestError):
            await client.ask("POST", f"/sessions/{session.id}/execute", data=body)


async def test_only_who_knows_the_secret_is_let_in(service: SandboxService) -> None:
    async with SandboxClient(service.url, "another secret") as stranger:
        for method, path in (("PUT", "/sessions/a"), ("GET", "/sessions/a"), ("POST", "/sessions/a/execute")):
            with pytest.raises(UnauthorizedError):
                await stranger.ask(method, path)
        health = await stranger.health()
    assert health["isolation"]["level"] == "bwrap"
    assert health["isolation"]["holes"]


async def test_a_service_that_is_down_is_said_at_once() -> None:
    async with SandboxClient(f"http://127.0.0.1:{free_port()}", "secret") as client:
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="does not answer"):
            await client.open("thread")
        assert time.monotonic() - began < 10


@pytest.fixture
def root(place: Path) -> Path:
    directory = place / uuid4().hex
    directory.mkdir(mode=0o711)
    return directory


@pytest.fixture
async def small(root: Path) -> AsyncIterator[SandboxService]:
    """Room for two, and little patience."""
    require("bwrap")
    service = SandboxService(root, warm=0, capacity=2, lifetime=8, idle_timeout=3, drain_timeout=3).start()
    yield service
    service.stop()


async def test_sessions_end_by_themselves(small: SandboxService) -> None:
    async with small.client() as client:
        idle, old = await client.open("idle"), await client.open("old")
        with pytest.raises(FullError, match="in use"):
            await client.open("third")
        assert old.expires_at - old.started_at == timedelta(seconds=8)
        while (await client.ask("GET", "/sessions/old"))["state"] != "ended":
            try:
                await run(old, "import time; time.sleep(0.5)")
            except LostError:
                break
        with pytest.raises(LostError, match="expired"):
            await old.files()
        with pytest.raises(LostError, match="idle"):
            await idle.files()
        assert (await client.open("old")).previous is not None


async def test_whoever_opens_a_session_says_how_long_it_may_idle(small: SandboxService) -> None:
    """The last one counts, and who says nothing gets the service's own."""
    async with small.client() as client:
        brief = await client.open("brief", timedelta(seconds=1))
        await client.open("changed", timedelta(seconds=1))
        await client.open("changed", timedelta(seconds=60))
        while (await client.ask("GET", "/sessions/brief"))["state"] != "ended":  # noqa: ASYNC110 # it isn't told
            await asyncio.sleep(0.1)
        with pytest.raises(LostError, match="idle"):
            await brief.files()
        state = await client.ask("GET", "/sessions/changed")
        assert (state["state"], state["idle_timeout"]) == ("idle", 60)
        await client.open("changed")
        assert (await client.ask("GET", "/sessions/changed"))["idle_timeout"] == 3
        for wrong in (timedelta(0), -timedelta(seconds=1)):
            with pytest.raises(BadRequestError, match="idle: expected seconds"):
                await client.open("wrong", wrong)


async def test_who_asks_for_a_session_is_answered_before_it_has_begun(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again, it is the same session, however long it took."""
    goes_on, begun, nowhere = asyncio.Event(), 0, cast("Isolation", None)

    async def start_late(*_: object) -> Interpreter:
        nonlocal begun
        begun += 1
        await goes_on.wait()
        return Interpreter(nowhere, root / "none", DEFAULT, Users())

    monkeypatch.setattr(Interpreter, "start", start_late)
    monkeypatch.setattr("worker.sandbox.sessions.OPEN_WITHIN_S", 0.05)
    sessions = Sessions(SandboxSettings(secret=SecretStr("x" * 16), state=root, environment=root), nowhere, Users())
    for _ in range(2):
        with pytest.raises(StartingError, match="ready yet"):
            await sessions.open("late")
    opening = asyncio.create_task(sessions.open("late"))
    goes_on.set()
    session, _ = await opening
    assert sessions.all == [session]
    assert begun == 1


async def test_a_call_cannot_outlive_its_session(small: SandboxService) -> None:
    async with small.client() as client:
        session = await client.open("long")
        heard = await run(session, "while True: pass", seconds=60)
    assert heard.done.reason == "timeout"
    assert heard.done.seconds < 9


async def test_stopping_lets_a_call_end_and_takes_no_more(small: SandboxService) -> None:
    async with small.client() as client:
        session, idle = await client.open("last"), await client.open("idle")
        calling = asyncio.create_task(run(session, _WAITS, call_id="under-way"))
        await until_busy(client, session)
        small.signal(signal.SIGTERM)
        while (await client.health())["status"] != "draining":
            pass
        for session_id in ("too-late", idle.id):
            with pytest.raises(DrainingError, match="about to end"):
                await client.open(session_id)
        with pytest.raises(DrainingError, match="about to end"):
            await run(idle, "1")
        joined = asyncio.create_task(run(await client.open("last"), _WAITS, call_id="under-way"))
        await session.put("go", b"")
        assert (await calling).text("result") == "'in time'\n"
        assert (await joined).text("result") == "'in time'\n"


async def test_nothing_outlives_a_killed_service(root: Path) -> None:
    require("bwrap")
    service = SandboxService(root, warm=1).start()
    async with service.client() as client:
        session = await client.open("orphan")
        await run(session, "import os, time\nif os.fork() == 0:\n    time.sleep(600)")
        living = below(service.pid)
        assert len(living) >= 6
        service.kill()
        deadline = time.monotonic() + 10
        while left := [pid for pid in living if _lives(pid)]:
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.02)
    again = SandboxService(root, warm=1).start()
    async with again.client() as client:
        with pytest.raises(LostError, match="unknown here"):
            await client.ask("GET", f"/sessions/{session.id}/files", params={"generation": session.generation})
    again.stop()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


def test_it_refuses_to_start(root: Path) -> None:
    require("landlock")
    (root / "empty").mkdir()
    secret = {"ASSISTANTD_SANDBOX_SECRET": "0123456789abcdef"}
    kept = {key: text for key, text in os.environ.items() if not key.startswith("ASSISTANTD_")}
    for variables, words in (
        ({}, "ASSISTANTD_SANDBOX_SECRET is not set"),
        ({"ASSISTANTD_SANDBOX_SECRET": "short"}, "at least 16 characters"),
        ({**secret, "ASSISTANTD_DATABASE_URL": "postgresql://x"}, "must not hold credentials"),
        ({**secret, "OPENAI_API_KEY": "sk-x"}, "must not hold credentials"),
        ({**secret, "ASSISTANTD_EMBEDDING_API_KEY": "x"}, "must not hold credentials"),
        ({**secret, "ASSISTANTD_SANDBOX_WARMTH": "1"}, "ASSISTANTD_SANDBOX_WARMTH is not a setting"),
        ({**secret, "ASSISTANTD_SANDBOX_ENVIRONMENT": str(root)}, "assistantd sandbox-environment"),
        ({**secret, "ASSISTANTD_SANDBOX_LEVEL": "landlock"}, "no isolation of at least bwrap"),
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "infra.cli", "sandbox", "--port", str(free_port()), "--data-dir", str(root)],
            env={**kept, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
