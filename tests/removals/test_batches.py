"""However much there is to remove, no statement removes more than a thousand rows, and a crash costs nothing."""

import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from shared.assistants import commands as assistants
from shared.audit.actor import command_line
from shared.errors import InvalidRequest, NotFound
from shared.files import commands as files
from shared.files.storage import StoreUnavailable
from shared.projects import commands as projects
from shared.removals.commands import AT_MOST
from shared.runs import commands as runs
from shared.threads import commands as threads
from shared.vector_stores import commands as stores
from shared.vector_stores import files as store_files
from tests.removals.stage import Cut, Stage

EMPTY = ("threads", "thread_activity", "messages", "runs", "run_steps", "removals")


async def test_a_long_thread(stage: Stage) -> None:
    """The request does not wait for what is in it."""
    thread = await stage.thread(messages=100_000, runs=1200, steps=2)
    other = await stage.thread(messages=3, runs=1, steps=1)
    requested = stage.counted()

    begun = time.perf_counter()
    await threads.delete(requested, command_line(), stage.project_id, thread)
    assert time.perf_counter() - begun < 1
    assert len(requested.seconds) == 1
    assert await stage.count("messages") == 100_003  # they are still there, and seen by nobody
    with pytest.raises(NotFound):
        await threads.get_message(stage.database, stage.project_id, thread, f"msg_1{thread}")
    with pytest.raises(NotFound):
        await runs.get(stage.database, stage.project_id, thread, f"run_1{thread}")
    with pytest.raises(NotFound):
        await threads.modify_message(stage.database, stage.project_id, thread, f"msg_1{thread}", {"metadata": {}})
    with pytest.raises(NotFound):
        await threads.delete(stage.database, command_line(), stage.project_id, thread)

    counted = stage.counted()
    await stage.remove(counted)

    assert max(counted.removed) == AT_MOST
    assert sum(counted.removed) >= 100_000 + 1200 + 2400 + 1
    assert {table: await stage.count(table, f"project_id = '{stage.project_id}'") for table in EMPTY} == {
        "threads": 1,
        "thread_activity": 1,
        "messages": 3,
        "runs": 1,
        "run_steps": 1,
        "removals": 0,
    }
    assert (await threads.get(stage.database, stage.project_id, other))["id"] == other
    assert {command[0] for command in stage.sent.commands} == {"XTRIM", "EXPIRE"}
    assert {command[1] for command in stage.sent.commands} == {f"ev:run_{n}{thread}" for n in range(1, 1201)}


async def test_a_worker_that_dies_over_it_leaves_the_rest_to_the_next(stage: Stage) -> None:
    """Whichever statement is its last."""
    for dies_after in (1, 2, 3, 5, 8, 13):
        await threads.delete(
            stage.database, command_line(), stage.project_id, await stage.thread(messages=2100, runs=10, steps=3)
        )
        with pytest.raises(Cut):
            await stage.remove(stage.counted(dies_after))
        assert await stage.count("threads") + await stage.count("removals") > 0

        await stage.remove()

        assert {table: await stage.count(table) for table in EMPTY} == dict.fromkeys(EMPTY, 0)


async def test_many_small_threads_go_together(stage: Stage) -> None:
    for _ in range(60):
        await threads.delete(
            stage.database, command_line(), stage.project_id, await stage.thread(messages=2, runs=1, steps=1)
        )
    counted = stage.counted()

    await stage.remove(counted)

    assert await stage.count("messages") == 0
    assert len(counted.seconds) < 60


async def test_what_a_worker_still_writes_goes_too(stage: Stage) -> None:
    """It had not heard that the thread was deleted."""
    thread = await stage.thread(runs=1, status="queued")
    await threads.delete(stage.database, command_line(), stage.project_id, thread)
    assert await stage.count("runs") == 0
    late = """INSERT INTO messages (id, project_id, thread_id, role) SELECT 'msg_late', project_id, id, 'assistant'
    FROM threads WHERE id = :id"""
    await stage.database.all(text(late), {"id": thread})

    await stage.remove()

    assert await stage.count("messages") == await stage.count("threads") == 0


async def chunk(stage: Stage, *, chunks: int) -> tuple[str, str, str]:
    """A store with a file of so many chunks, each with a vector."""
    store = (await stores.create(stage.database, stage.project_id, {}, [], "english"))["id"]

    async def content() -> AsyncIterator[bytes]:
        yield b"apples"

    made = await files.upload(
        stage.database, stage.store, stage.project_id, filename="a.txt", purpose="assistants", chunks=content()
    )
    new = store_files.new_file(made["id"], {}, 800, 400)
    await store_files.add(stage.database, stage.project_id, store, new)
    facts = {"ingestion": new["ingestion"], "project": stage.project_id, "store": store, "chunks": chunks}
    for statement in (
        """INSERT INTO embedding_spaces (model, dimensions, "window")
        SELECT 'm', 2, 50 WHERE NOT EXISTS (SELECT FROM embedding_spaces)""",
        """INSERT INTO chunks (ingestion, position, project_id, vector_store_id, text, tokens, begins, ends, search)
        SELECT :ingestion, n, :project, :store, 'apples', 1, 0, 6, to_tsvector('apples')
        FROM generate_series(1, :chunks) AS n""",
        """INSERT INTO passages (ingestion, chunk, space, number, last_chunk, project_id, vector_store_id, embedding)
        SELECT :ingestion, position, (SELECT min(id) FROM embedding_spaces), 0, position, :project, :store, '[1,0]'
        FROM chunks WHERE ingestion = :ingestion""",
    ):
        await stage.fill(statement, **facts)
    return store, made["id"], new["ingestion"]


@pytest.mark.parametrize("deleted", ["store", "file", "inside", "again"])
async def test_a_file_of_many_chunks(stage: Stage, deleted: str) -> None:
    """With its store, by itself, out of its store, and where it is put into the store once more."""
    store, file_id, ingestion = await chunk(stage, chunks=2300)
    await chunk(stage, chunks=5)
    match deleted:
        case "store":
            await stores.delete(stage.database, command_line(), stage.project_id, store)
            with pytest.raises(NotFound):
                await store_files.get(stage.database, stage.project_id, store, file_id)
        case "file":
            await files.delete(stage.database, command_line(), stage.store, stage.project_id, file_id)
        case "inside":
            await store_files.remove(stage.database, command_line(), stage.project_id, store, file_id)
        case _:
            new = store_files.new_file(file_id, {}, 800, 400)
            await store_files.add(stage.database, stage.project_id, store, new)
    assert await stage.count("chunks", f"ingestion = '{ingestion}'") == 2300
    counted = stage.counted()

    await stage.remove(counted)

    assert max(counted.removed) == AT_MOST
    assert await stage.count("chunks") == await stage.count("passages") == 5
    assert await stage.count("removals") == 0
    assert await stage.count("vector_stores", f"id = '{store}'") == (deleted != "store")


async def test_a_store_that_is_away_keeps_only_files_waiting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _, file_id, _ = await chunk(stage, chunks=1)
    await files.delete(stage.database, command_line(), stage.store, stage.project_id, file_id)
    await threads.delete(stage.database, command_line(), stage.project_id, await stage.thread(runs=1))
    assert not [blob async for blob in stage.store.list()]

    async def away(key: str) -> None:
        raise StoreUnavailable(key)

    with monkeypatch.context() as patched:
        patched.setattr(stage.store, "delete", away)
        with pytest.raises(StoreUnavailable):
            await stage.remove()
    assert await stage.count("messages") == 0
    assert await stage.count("removals", "kind = 'file'") == 1

    await stage.remove()
    assert await stage.count("removals") == 0


async def test_a_file_that_thousands_of_threads_name(stage: Stage) -> None:
    """The request takes it from some, the rest follow."""
    _, file_id, _ = await chunk(stage, chunks=1)
    named = """INSERT INTO threads (id, project_id, tool_resources)
    SELECT concat('thread_', n), :project, jsonb_build_object('code_interpreter', jsonb_build_object('file_ids',
      jsonb_build_array('file-kept', :file))) FROM generate_series(1, 2200) AS n"""
    await stage.fill(named, project=stage.project_id, file=file_id)

    await files.delete(stage.database, command_line(), stage.store, stage.project_id, file_id)
    await stage.remove()

    left = 'tool_resources = \'{"code_interpreter": {"file_ids": ["file-kept"]}}\''
    assert await stage.count("threads", left) == 2200


async def test_a_project_that_is_not_archived(stage: Stage) -> None:
    with pytest.raises(InvalidRequest, match="archive it first"):
        await projects.delete(stage.database, command_line(), stage.project_id)
    with pytest.raises(NotFound):
        await projects.delete(stage.database, command_line(), "proj_none")


async def test_a_project_of_many_things(stage: Stage) -> None:
    """Also a run that waits to be executed; another project keeps all that it has."""
    for _ in range(3):
        await stage.thread(messages=700, runs=1, status="queued")
        await chunk(stage, chunks=1)
        await assistants.create(stage.database, stage.project_id, {"model": "m"})
    other = Stage(stage.database, stage.store, (await projects.create(stage.database, command_line(), "other"))["id"])
    await other.thread(messages=2, runs=1, steps=1)
    await chunk(other, chunks=2)
    await projects.archive(stage.database, command_line(), stage.project_id)

    await projects.delete(stage.database, command_line(), stage.project_id)
    with pytest.raises(NotFound):
        await projects.get(stage.database, stage.project_id)
    counted = stage.counted()
    await stage.remove(counted)

    assert max(counted.removed) <= AT_MOST
    tables = ("projects", "threads", "runs", "vector_stores", "vector_store_files", "files", "assistants", "removals")
    found = {table: await stage.count(table) for table in tables}
    assert found == {**dict.fromkeys(tables, 1), "assistants": 0, "removals": 0}
    assert await stage.count("messages") == await stage.count("chunks") == 2
    assert len([blob async for blob in stage.store.list()]) == 1
