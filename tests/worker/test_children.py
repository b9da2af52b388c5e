"""Processes that read files: what they may take, what they know, and when they end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system import until
from worker.ingest.children import Children, ReaderLost
from worker.ingest.document import Unreadable
from worker.ingest.protocol import Job

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")

HEAVY = ("unstructured", "pypdfium2", "openpyxl", "docx", "pptx", "lxml", "striprtf")


@pytest.fixture
async def readers() -> AsyncIterator[Children]:
    children = Children()
    yield children
    await children.close()


def job(name: str = "a.txt", memory: int = 2048, seconds: int = 60) -> Job:
    return Job(name, 800, 400, 5_000_000, memory << 20, seconds)


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


async def server_of(pid: int) -> int:
    def servers() -> list[int]:
        return [p for p in children_of(pid) if b"worker.ingest.forkserver" in Path(f"/proc/{p}/cmdline").read_bytes()]

    await until(lambda: len(servers()) == 1)
    return servers()[0]


async def child_of(server: int) -> int:
    await until(lambda: len(children_of(server)) == 1)
    return children_of(server)[0]


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def is_there(pid: int) -> bool:
    """A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_reader_ends_when_nobody_wants_its_file_any_more(readers: Children) -> None:
    """It hangs over a pipe that says nothing."""
    silent, kept = os.pipe()
    with os.fdopen(silent, "rb") as file:
        async with readers.reading(job(), file):
            server = await server_of(os.getpid())
            child = await child_of(server)
            niceness = os.getpriority(os.PRIO_PROCESS, child)
        await until(lambda: not is_there(child))
    os.close(kept)
    assert niceness - os.getpriority(os.PRIO_PROCESS, 0) in (10, 0)  # 0 where it hadn't come that far yet
    assert is_there(server)


async def test_readers_die_with_their_server_and_another_one_is_started(readers: Children) -> None:
    silent, kept = os.pipe()
    with os.fdopen(silent, "rb") as file:
        async with readers.reading(job(), file) as frames:
            server = await server_of(os.getpid())
            child = await child_of(server)
            os.kill(server, signal.SIGKILL)
            with pytest.raises(ReaderLost):
                await anext(frames)
            await until(lambda: not is_there(child))
    os.close(kept)
    with tempfile.TemporaryFile() as file:
        file.write(b"apples")
        file.seek(0)
        async with readers.reading(job(), file) as frames:
            kinds = [frame["kind"] async for frame in frames]
    assert kinds == ["progress", "done"]


DOOMED = """
import asyncio, os
from worker.ingest.children import Children
from worker.ingest.protocol import Job
async def main():
    silent, kept = os.pipe()
    with os.fdopen(silent, "rb") as file:
        async with Children().reading(Job("a.txt", 800, 400, 100, 2 << 30, 60), file):
            print("reading", flush=True)
            await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_all_die_with_a_worker_that_is_killed() -> None:
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", DOOMED, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"reading\n"
    server = await server_of(worker.pid)
    child = await child_of(server)
    worker.kill()
    await worker.wait()
    await until(lambda: not is_there(server) and not is_there(child))


async def test_readers_know_no_secrets(readers: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANTD_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    silent, kept = os.pipe()
    with os.fdopen(silent, "rb") as file:
        async with readers.reading(job(), file):
            known = environment_of(await server_of(os.getpid()))
    os.close(kept)
    assert b"PATH=" in known
    assert b"secret" not in known


async def failure(readers: Children, asked: Job, content: bytes) -> tuple[str, str]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        try:
            async with readers.reading(asked, file) as frames:
                async for frame in frames:
                    if frame["kind"] == "failed":
                        return frame["code"], frame["message"]
        except Unreadable as error:
            return error.code, error.message
    raise AssertionError("it was read")


async def test_a_file_that_takes_too_much_memory(readers: Children) -> None:
    swollen = b"<p>apples</p>" * 1_000_000
    code, message = await failure(readers, job("a.html", memory=640), swollen)
    assert (code, "640 MiB of memory" in message) == ("invalid_file", True), message


async def test_a_file_that_takes_too_much_time(readers: Children) -> None:
    endless = "".join(f"word{number} " for number in range(1_500_000)).encode()
    code, message = await failure(readers, job(seconds=1), endless)
    assert (code, "longer than 1 seconds" in message) == ("invalid_file", True), message


@pytest.mark.parametrize("module", ["api.app", "worker.app", "worker.ingest.executor"])
def test_nobody_else_loads_what_reading_takes(module: str) -> None:
    asked = f"import sys, json, {module}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True)
    assert json.loads(done.stdout) == []
