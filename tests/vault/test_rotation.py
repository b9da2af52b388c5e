"""Keys are changed while clients talk: nothing is lost, nothing fails, and in the end the old keys are not needed."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from openai import AsyncOpenAI

from infra.embedded.postgres import Postgres
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System, create_database, redis_apart
from tests.vault.test_commands import command
from tests.vector_stores import POLL_MS

CLIENTS = 8
CHANGES = 3
FUNCTION = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@dataclass
class Clients:
    """Who talks meanwhile, and what was said, newest first, by thread."""

    client: AsyncOpenAI
    model: ScriptedModel
    said: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released after each conversation."""

    async def talk(self) -> None:
        """A conversation after the other, each with a run that is streamed, waits for its client, and is polled."""
        beta = self.client.beta
        while not self.enough.is_set():
            words = uuid4().hex
            script = self.model.script(CallFunctions([("weather", {"city": words})]), Say(f"It rains {words}."))
            assistant = await beta.assistants.create(model=script, instructions=words, tools=[FUNCTION])  # pyright: ignore[reportArgumentType]
            thread = await beta.threads.create(messages=[{"role": "user", "content": words}])
            async with beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
                await stream.until_done()
                run = stream.current_run
            assert run is not None
            assert run.required_action is not None, run.last_error
            assert run.instructions == words
            (call,) = run.required_action.submit_tool_outputs.tool_calls
            assert words in call.function.arguments
            ended = await beta.threads.runs.submit_tool_outputs_and_poll(
                run_id=run.id,
                thread_id=thread.id,
                tool_outputs=[{"tool_call_id": call.id, "output": words}],
                poll_interval_ms=POLL_MS,
            )
            assert ended.status == "completed", ended.last_error
            self.said[thread.id] = [f"It rains {words}.", words]
            self.ended.release()

    async def kept(self, thread_id: str) -> list[str]:
        """What there is of a conversation, newest first."""
        messages = await self.client.beta.threads.messages.list(thread_id)
        return [part.text.value for message in messages.data for part in message.content if part.type == "text"]


@pytest.fixture(scope="module")
def system(room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel) -> Iterator[System]:
    """Whose keys are all forgotten in the end."""
    root = room / "rotation"
    root.mkdir()
    made = System(root, create_database(postgres.url, "rotation"), redis_apart(redis_url), model.base_url)
    made.start()
    yield made
    made.stop()


@pytest.mark.timeout(180)
async def test_keys_are_changed_while_clients_talk(project: Project, system: System, model: ScriptedModel) -> None:
    clients = Clients(project.client, model)
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(clients.talk())
        for _ in range(CHANGES):
            for _ in range(CLIENTS):
                await clients.ended.acquire()
            assert "rows sealed" in await command(system, "seal", "--new-keys")
        clients.enough.set()

    system.query("UPDATE data_keys SET retired_at = now() - interval '8 hours' WHERE retired_at IS NOT NULL")
    await command(system, "seal")  # what processes sealed by keys that they remembered, for a minute
    assert system.query("SELECT count(*) FROM data_keys WHERE retired_at IS NOT NULL") == [(0,)]
    async with another_api(system, project) as client:
        clients.client = client
        for thread_id, said in clients.said.items():
            assert await clients.kept(thread_id) == said


@asynccontextmanager
async def another_api(system: System, project: Project) -> AsyncGenerator[AsyncOpenAI]:
    """An API process that remembers no key."""
    system.spawn_api().wait_until_ready()
    async with Project.known(system, project.key) as known:
        yield known.client
