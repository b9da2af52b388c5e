"""Real processes on either store: all that moves bytes, and what becomes of it when the store is away."""

import asyncio
import hashlib
import itertools
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import InternalServerError

from infra.embedded.postgres import Postgres
from shared import ids
from shared.files import orphans
from shared.files.storage import LocalStore
from tests import http
from tests.blobs.test_contract import content, pieces
from tests.bucket import SECRET, Bucket, Line, line_to, new_bucket
from tests.scripted_model import Say, ScriptedModel
from tests.system import Process, Project, System, create_database, redis_apart, until

MEGABYTE = 1024 * 1024
BIG = 300 * MEGABYTE

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds")


@dataclass
class Place:
    """A system, and where its bytes go; `line` is what it reaches its bucket by."""

    system: System
    bucket: Bucket | None
    line: Line | None

    @property
    def api(self) -> Process:
        return self.system.processes[0]

    def stored(self) -> set[str]:
        """Of all that is stored."""
        if self.bucket is not None:
            return asyncio.run(self.bucket.keys())
        root = self.system.root / "data" / "files"
        return {path.name for path in root.rglob("*") if path.is_file()}

    async def holds(self, *keys: str) -> bool:
        """Is exactly this stored?"""
        return await asyncio.to_thread(self.stored) == set(keys)

    def held(self) -> int:
        """Files of the store, or connections to it, that the API process has open."""
        if self.line is not None:
            return self.line.connections
        root = str(self.system.root / "data" / "files")
        links = Path(f"/proc/{self.api.popen.pid}/fd").iterdir()
        return sum(_target(link).startswith(root) for link in links)

    def forget_peak(self) -> None:
        """Let `peak` begin anew."""
        Path(f"/proc/{self.api.popen.pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """The most memory that the API process had since then, in bytes."""
        status = Path(f"/proc/{self.api.popen.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed meanwhile
        return ""


_numbers = itertools.count()
_redis: dict[str, str] = {}


async def placed(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, s3_url: str | None
) -> AsyncIterator[Place]:
    name = f"blobs{next(_numbers)}"
    (room / name).mkdir()
    url = create_database(postgres.url, name)
    settings = {"ASSISTANTD_LOG_LEVEL": "debug"}
    apart = _redis.setdefault(redis_url, redis_apart(redis_url))
    if s3_url is None:
        system = System(room / name, url, apart, model.base_url, settings)
        system.start()
        yield Place(system, None, None)
        system.stop()
        return
    bucket = await new_bucket(s3_url)
    async with line_to(s3_url) as line:
        system = System(room / name, url, apart, model.base_url, {**settings, **bucket.by(line).settings})
        await asyncio.to_thread(system.start)
        yield Place(system, bucket, line)
        await asyncio.to_thread(system.stop)
    for process in sorted((room / name).glob("*.log")):
        assert SECRET not in process.read_text()


@pytest.fixture(scope="module")
async def on_s3(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, s3_url: str
) -> AsyncIterator[Place]:
    async for place in placed(room, postgres, redis_url, model, s3_url):
        yield place


@pytest.fixture(scope="module")
async def on_disk(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> AsyncIterator[Place]:
    async for place in placed(room, postgres, redis_url, model, None):
        yield place


@pytest.fixture(params=["on_disk", "on_s3"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)


@pytest.fixture
async def project(place: Place) -> AsyncIterator[Project]:
    async with Project.of(place.system) as tenant:
        yield tenant


@pytest.fixture
async def away(on_s3: Place) -> AsyncIterator[tuple[Project, Line]]:
    """A tenant, and the line to its bucket, which is mended in the end."""
    line = on_s3.line
    assert line is not None
    async with Project.of(on_s3.system) as tenant:
        yield tenant, line
    await line.cut()
    await line.mend()


async def stored(project: Project, whole: bytes, name: str = "a.txt") -> str:
    return (await project.client.files.create(file=(name, whole), purpose="assistants")).id


async def asks_about_an_image(project: Project, model: str) -> Any:
    beta = project.client.beta
    image = await project.client.files.create(file=("i.png", b"png"), purpose="vision")
    part: Any = [{"type": "image_file", "image_file": {"file_id": image.id}}]
    thread = await beta.threads.create(messages=[{"role": "user", "content": part}])
    assistant = await beta.assistants.create(model=model)
    return lambda: beta.threads.runs.create(thread.id, assistant_id=assistant.id)


async def ended(project: Project, run: Any) -> str:
    return (await project.client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=50)).status


async def test_files_come_and_go(place: Place, project: Project) -> None:
    before = await asyncio.to_thread(place.stored)
    whole = content(9 * MEGABYTE)
    made = await project.client.files.create(file=("räks/mörgås;a.pdf", whole), purpose="assistants")

    answer = await project.client.files.with_raw_response.content(made.id)

    assert answer.content == whole
    assert answer.headers["content-length"] == str(len(whole))
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''r%C3%A4ks%2Fm%C3%B6rg%C3%A5s%3Ba.pdf"
    )
    assert answer.headers["etag"] == f'"{hashlib.sha256(whole).hexdigest()}"'
    assert await place.holds(*before, made.id)
    await project.client.files.delete(made.id)
    assert await place.holds(*before)


async def test_uploads_are_put_together_and_forgotten(place: Place, project: Project) -> None:
    facts: Any = {"filename": "a.txt", "purpose": "assistants", "mime_type": "text/plain"}
    before = await asyncio.to_thread(place.stored)
    parts = [content(5 * MEGABYTE), content(6 * MEGABYTE)]
    uploads = project.client.uploads
    upload = await uploads.create(bytes=11 * MEGABYTE, **facts)
    sent = [(await uploads.parts.create(upload.id, data=part)).id for part in parts]
    given_up = await uploads.create(bytes=1, **facts)
    await uploads.parts.create(given_up.id, data=b"x")

    md5 = hashlib.md5(b"".join(parts)).hexdigest()
    done = await uploads.complete(upload.id, part_ids=sent, md5=md5)
    expire = "UPDATE uploads SET expires_at = now(), parts_due_at = now() WHERE id = %s"
    place.system.query(expire, given_up.id)

    assert done.file is not None
    left = {*before, done.file.id}
    assert (await project.client.files.content(done.file.id)).content == b"".join(parts)
    await until(lambda: place.stored() == left)


async def test_a_run_sees_an_image(place: Place, project: Project, model: ScriptedModel) -> None:
    name = model.script(Say("A picture."))
    run = await asks_about_an_image(project, name)

    assert await ended(project, await run()) == "completed"

    (asked,) = model.requests(name)
    assert asked.messages[0]["content"][0]["image_url"]["url"] == "data:image/png;base64,cG5n"
    assert place.api.popen.poll() is None


async def test_a_vector_store_reads_a_file(place: Place, project: Project) -> None:
    file = await stored(project, b"Apples keep for months. " * 10_000)
    store = await project.client.vector_stores.create()

    added = await project.client.vector_stores.files.create_and_poll(
        file, vector_store_id=store.id, poll_interval_ms=50
    )

    assert added.status == "completed"
    assert place.api.popen.poll() is None


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=5-9", 5, 10),
    ("bytes=5-", 5, None),
    ("bytes=-4", -4, None),
    (f"bytes={MEGABYTE}-{10 * MEGABYTE}", MEGABYTE, None),
    (f"bytes=-{10 * MEGABYTE}", 0, None),
]


@pytest.mark.parametrize(("wanted", "begin", "end"), RANGES)
async def test_a_range(place: Place, project: Project, wanted: str, begin: int, end: int | None) -> None:
    whole = content(2 * MEGABYTE)
    file = await stored(project, whole)
    expected = whole[begin:end]
    first = len(whole) + begin if begin < 0 else begin
    async with http.session(project) as client:
        answer = await client.get(f"/files/{file}/content", headers={"range": wanted})

        assert (answer.status_code, answer.content) == (206, expected)
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(whole)}"
        assert answer.headers["content-length"] == str(len(expected))
        same = {"range": wanted, "if-range": answer.headers["etag"]}
        assert (await client.get(f"/files/{file}/content", headers=same)).status_code == 206
        other = await client.get(f"/files/{file}/content", headers={"range": wanted, "if-range": '"other"'})
        assert (other.status_code, len(other.content)) == (200, len(whole))
    assert place.api.popen.poll() is None


async def test_ranges_that_are_not_served(on_disk: Place) -> None:
    async with Project.of(on_disk.system) as project, http.session(project) as client:
        file, empty = await stored(project, b"0123456789"), await stored(project, b"")
        for wanted in ("bytes=0-1,3-4", "bytes=9-5", "bytes=x-", "lines=1-2", "bytes=-", "bytes"):
            answer = await client.get(f"/files/{file}/content", headers={"range": wanted})
            assert (answer.status_code, answer.content) == (200, b"0123456789"), wanted
        for name, wanted, size in ((file, "bytes=10-", 10), (file, "bytes=-0", 10), (empty, "bytes=0-", 0)):
            answer = await client.get(f"/files/{name}/content", headers={"range": wanted})
            assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")
            assert f"The file has {size} bytes" in answer.json()["error"]["message"]
        assert (await client.get(f"/files/{empty}/content")).content == b""


@linux
async def test_a_client_that_goes_away_leaves_nothing_open(place: Place, project: Project) -> None:
    file = await stored(project, content(64 * MEGABYTE))
    await until(lambda: place.line is not None or place.held() == 0)
    async with http.session(project) as client:
        for _ in range(5):
            # A plain client: the one that judges answers reads them to the end.
            async with (
                httpx2.AsyncClient(headers=client.headers) as plain,
                plain.stream("GET", f"{project.base_url}/files/{file}/content") as answer,
            ):
                await anext(answer.aiter_raw())
                assert place.held() > 0

    await until(lambda: place.held() <= (0 if place.line is None else 2))  # what a pool keeps for the next request
    assert len((await project.client.files.content(file)).content) == 64 * MEGABYTE


@linux
@pytest.mark.timeout(180)
async def test_a_big_file_is_never_in_memory(place: Place, project: Project, tmp_path: Path) -> None:
    path, whole = tmp_path / "big.bin", hashlib.sha256()
    with path.open("wb") as file:
        for number in range(BIG // MEGABYTE):
            block = number.to_bytes(8, "big") * (MEGABYTE // 8)
            whole.update(block)
            file.write(block)
    place.forget_peak()
    before = place.peak()

    client = project.client.with_options(timeout=120)
    made = await client.files.create(file=path, purpose="assistants")
    came = hashlib.sha256()
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {project.key}"}, timeout=60) as plain,
        plain.stream("GET", f"{project.base_url}/files/{made.id}/content") as answer,
    ):
        async for chunk in answer.aiter_raw():
            came.update(chunk)
    await client.files.delete(made.id)

    grown = place.peak() - before
    sizes = [number // MEGABYTE for number in (BIG, before, grown)]
    print("{} MiB up and down: the API process, of {} MiB, grew by {} MiB".format(*sizes))
    assert came.hexdigest() == whole.hexdigest()
    assert made.bytes == BIG
    assert grown < 80 * MEGABYTE


async def test_a_store_that_is_away_is_told_and_leaves_nothing_half(on_s3: Place, away: tuple[Project, Line]) -> None:
    project, line = away
    file = await stored(project, b"content")
    upload = await project.client.uploads.create(
        filename="a.txt", purpose="assistants", mime_type="text/plain", bytes=3
    )
    part = (await project.client.uploads.parts.create(upload.id, data=b"one")).id
    before = await asyncio.to_thread(on_s3.stored)
    await line.cut()

    asked: list[Callable[[], Any]] = [
        lambda: stored(project, b"x"),
        lambda: project.client.files.content(file),
        lambda: project.client.uploads.parts.create(upload.id, data=b"two"),
        lambda: project.client.uploads.complete(upload.id, part_ids=[part]),
    ]
    for ask in asked:
        with pytest.raises(InternalServerError) as refused:
            await ask()
        assert (refused.value.status_code, refused.value.code) == (503, "storage_unavailable")
        assert refused.value.response.headers["retry-after"] == "1"
    await project.client.files.retrieve(file)
    await line.mend()

    assert await on_s3.holds(*before)
    assert [made.id for made in (await project.client.files.list()).data] == [file]
    assert (await project.client.files.content(file)).content == b"content"
    done = await project.client.uploads.complete(upload.id, part_ids=[part])
    assert done.file is not None
    assert (await project.client.files.content(done.file.id)).content == b"one"


async def test_a_file_can_be_deleted_while_the_store_is_away(on_s3: Place, away: tuple[Project, Line]) -> None:
    """Its bytes go when the store is back."""
    project, line = away
    file = await stored(project, b"content")
    await line.cut()

    assert (await project.client.files.delete(file)).deleted
    assert file in await asyncio.to_thread(on_s3.stored)

    await line.mend()
    await until(lambda: file not in on_s3.stored())
    assert (await project.client.files.list()).data == []


async def test_runs_and_readers_wait_for_a_store_that_is_away(
    on_s3: Place, away: tuple[Project, Line], model: ScriptedModel
) -> None:
    project, line = away
    name = model.script(Say("A picture."))
    start = await asks_about_an_image(project, name)
    file = await stored(project, b"Apples keep for months.")
    waiting = [made.id for made in (await project.client.files.list()).data]
    store = await project.client.vector_stores.create()
    await line.cut()

    run = await start()
    await project.client.vector_stores.files.create(store.id, file_id=file)
    (worker,) = (process for process in on_s3.system.processes if process.log.name.startswith("worker"))
    await until(lambda: all(re.search(f"blob.waited_for.*{key}", worker.log.read_text()) for key in waiting))
    await line.mend()

    assert await ended(project, run) == "completed"
    polled = await project.client.vector_stores.files.poll(file, vector_store_id=store.id, poll_interval_ms=50)
    assert polled.status == "completed"


async def test_a_worker_sweeps_what_is_left_behind(on_disk: Place) -> None:
    """Some process died between bytes and row, long ago."""
    before = await asyncio.to_thread(on_disk.stored)
    store = LocalStore(on_disk.system.root / "data" / "files")
    left, coming = ids.new("file"), ids.new("part")
    for key in (left, coming):
        await store.put(key, pieces(b"x"))
    (path,) = await asyncio.to_thread(lambda: list((on_disk.system.root / "data" / "files").rglob(left)))
    then = time.time() - orphans.ORPHANED_AFTER.total_seconds() - 60
    os.utime(path, (then, then))
    on_disk.system.query("UPDATE store_sweeps SET begun_at = now() - interval '61 minutes'")

    await asyncio.to_thread(on_disk.system.spawn_worker().wait_until_ready)

    await until(lambda: left not in on_disk.stored())
    assert await on_disk.holds(*before, coming)
