"""Words that were said are in no dump of the database, in no file of the server and in nothing that Redis is sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from infra.embedded.postgres import Postgres
from tests.bucket import Bucket, new_bucket, s3_server
from tests.removals.remains import remains
from tests.sandbox.service import SandboxService, lent
from tests.scripted_model import ScriptedModel
from tests.system import Project, System, create_database, redis_apart, until
from tests.vault.planted import Story, dump, in_files, overheard

SAID = {"assistants", "messages", "runs", "run_steps", "idempotency_keys"}
"""Tables that hold what was said."""
SEARCHED = {"chunks"}
"""Tables whose words search reads: infra/README.md names them and what protects them."""


@dataclass
class Store:
    """Where files lie, and how to look at them from outside."""

    root: Path
    bucket: Bucket | None
    sealed: bool

    async def lies(self) -> list[bytes]:
        """All that is there."""
        if self.bucket is None:
            return [path.read_bytes() for path in self.root.rglob("*") if path.is_file()]
        found: list[bytes] = []
        async with self.bucket.client() as client:
            async for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.name):
                for each in page.get("Contents", ()):
                    got = await client.get_object(Bucket=self.bucket.name, Key=each["Key"])
                    found.append(await got["Body"].read())
        return found


@pytest.fixture(scope="module")
def service() -> Iterator[SandboxService]:
    with lent(warm=1, memory_mb=512) as started:
        yield started


@pytest.fixture(scope="module", params=["directory", "bucket", "unsealed"])
async def store(room: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    root = room / f"planted-{request.param}"
    root.mkdir()
    with ExitStack() as stack:
        bucket = None
        if request.param == "bucket":
            bucket = await new_bucket(stack.enter_context(s3_server(room / "planted-s3.log")))
        yield Store(root / "data" / "files", bucket, sealed=request.param != "unsealed")


@pytest.fixture(scope="module")
def system(
    store: Store, postgres: Postgres, redis_url: str, model: ScriptedModel, service: SandboxService
) -> Iterator[System]:
    """Whose temporary files are below its root, as its logs are."""
    root = store.root.parents[1]
    temporary = root / "tmp"
    temporary.mkdir()
    url = create_database(postgres.url, root.name)
    settings = {**service.told, "TMPDIR": str(temporary), **(store.bucket.settings if store.bucket else {})}
    made = System(root, url, redis_apart(redis_url), model.base_url, settings, sealed=store.sealed)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def story(project: Project, model: ScriptedModel) -> Story:
    return Story(project, model)


@dataclass
class Look:
    """Everything that is kept, and all that Redis was sent."""

    system: System
    store: Store
    heard: list[bytes]
    server: Path

    async def at(self, word: str) -> set[str]:
        """Where it is to be read."""
        needle = word.encode()
        places = {"redis"} if any(needle in line for line in self.heard) else set[str]()
        if any(needle in lies for lies in await self.store.lies()):
            places.add("store")
        tables = await asyncio.to_thread(remains, self.system, [word])
        places |= {"redis" if place == "redis" else f"table {place}" for place in tables}
        dumped = await asyncio.to_thread(dump, self.system.database_url)
        places |= {f"dump {table}" for table, lines in dumped.items() if needle in lines}
        if await asyncio.to_thread(in_files, self.server, needle):
            places.add("postgres")
        others = await asyncio.to_thread(in_files, self.system.root, needle)
        return places | {path for path in others if not Path(path).is_relative_to(self.store.root)}


def of_tables(names: set[str]) -> set[str]:
    """With the server's own files, its log of what is written included."""
    return {f"{place} {name}" for name in names for place in ("table", "dump")} | {"postgres"}


async def test_what_was_said_is_nowhere_to_be_read(story: Story, system: System, store: Store, room: Path) -> None:
    """Where there is no key it is everywhere: what was looked for was there to be found."""
    with overheard(system.redis_url) as heard:
        await story.tell()
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    look = Look(system, store, heard, room / "postgres")

    shown = {"redis", "store"} | of_tables(SAID)
    assert await look.at(story.said) == (set[str]() if store.sealed else shown)
    answers = set[str]() if store.sealed else {"redis", "store"} | of_tables({"run_steps"})
    assert await look.at(story.found) == of_tables(SEARCHED) | answers
    assert {"table assistants", "dump threads"} <= await look.at(story.seen)
    for content in story.written:
        assert any(content[8:72] in lies for lies in await store.lies()) != store.sealed


async def test_a_session_leaves_nothing_of_its_files(story: Story, service: SandboxService) -> None:
    said = story.said.encode()
    await story.tell()
    assert await asyncio.to_thread(in_files, service.state, said), "it is looked for where it is"

    async with service.client() as client:
        await client.end(story.thread_id)

    await until(lambda: not in_files(service.state.parent, said))
