"""Each hostile file is read or refused for a reason, in bounded time and memory, and the next one is not the worse."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator

import pytest

from tests.vector_stores.zoo import COMPLETED, Beast, beasts
from worker.ingest.children import Children
from worker.ingest.document import Unreadable
from worker.ingest.protocol import Frame, Job

MEMORY, SECONDS = 1024, 20  # MiB, of processor time


@pytest.fixture(scope="module")
async def readers() -> AsyncIterator[Children]:
    children = Children()
    yield children
    await children.close()


async def outcome(readers: Children, beast: Beast) -> tuple[str, str]:
    """How it ended, and the text that was read or the message."""
    job = Job(beast.filename, 800, 400, 5_000_000, MEMORY << 20, SECONDS)
    text = ""
    last: Frame | None = None
    with tempfile.TemporaryFile() as file:
        file.write(beast.content)
        file.seek(0)
        try:
            async with asyncio.timeout(60), readers.reading(job, file) as frames:
                async for last in frames:
                    if last["kind"] == "progress":
                        text += "".join(chunk["text"] for chunk in last["chunks"])
        except Unreadable as error:
            return error.code, error.message
    assert last is not None
    if last["kind"] == "failed":
        return last["code"], last["message"]
    assert last["kind"] == "done"
    return COMPLETED, text


async def test_every_beast_comes_to_an_end(readers: Children) -> None:
    """The table is printed with `pytest -s`."""
    seen, wrong = 0, list[str]()
    for beast in beasts():
        began = time.monotonic()
        ended, said = await outcome(readers, beast)
        took = time.monotonic() - began
        shown = f"{len(said)} characters" if ended == COMPLETED else said
        print(f"{beast.what:32} {len(beast.content):>9,} bytes {took:6.2f} s  {ended}: {shown[:150]}")
        seen += 1
        if ended != beast.outcome or beast.says not in said:
            wrong.append(f"{beast.what}: {ended}: {said[:300]}")
    assert not wrong, "\n".join(wrong)
    assert seen >= 40
