"""The script: in every window exactly what its limit allows, whoever asks, and everybody counted."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.embedded.valkey import Valkey
from shared.limits.windows import LENGTH, Answer, Window, Windows
from tests.system import redis_apart, until

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_apart(redis_url)) as client:
        yield client


@pytest.fixture(scope="module")
def url(server: "redis.Redis") -> str:
    facts: Any = server.connection_pool.connection_kwargs
    return f"redis://:{facts['password']}@{facts['host']}:{facts['port']}/{facts['db']}"


@pytest.fixture
async def windows(server: "redis.Redis", url: str) -> AsyncIterator[Windows]:
    server.flushdb()
    made = Windows(url)
    yield made
    await made.close()


def told(answer: Answer | None) -> tuple[list[int], int | None]:
    assert answer is not None
    return [count.used for count in answer.counts], answer.refused


async def test_as_much_as_the_limit_and_not_more(windows: Windows) -> None:
    asked = [told(await windows.ask(Window("k", 2, 1))) for _ in range(4)]

    assert asked == [([1], None), ([2], None), ([2], 0), ([2], 0)]


async def test_several_windows_count_together_or_not_at_all(windows: Windows) -> None:
    await windows.ask(Window("narrow", 1, 1))

    assert told(await windows.ask(Window("wide", 9, 1), Window("narrow", 1, 1))) == ([0, 1], 1)
    assert told(await windows.ask(Window("wide", 9, 1))) == ([1], None)


async def test_whoever_only_looks_counts_nothing(windows: Windows, server: "redis.Redis") -> None:
    assert told(await windows.ask(Window("k", 5, 0))) == ([0], None)
    assert server.exists("k") == 0
    assert told(await windows.ask(Window("k", None, 7))) == ([7], None), "without a limit it is counted in any case"
    assert told(await windows.ask(Window("k", 5, 0))) == ([7], 0)
    assert told(await windows.ask(Window("k", 8, 0))) == ([7], None)


async def test_a_window_lasts_from_what_it_counts_first(windows: Windows, server: "redis.Redis") -> None:
    first = await windows.ask(Window("k", 9, 1))
    assert first is not None
    assert timedelta(seconds=59) < first.counts[0].left <= LENGTH
    server.pexpire("k", 500)
    second = await windows.ask(Window("k", 9, 1))
    assert second is not None
    assert timedelta(0) < second.counts[0].left <= timedelta(milliseconds=500), "what comes later makes it no longer"

    await until(lambda: server.exists("k") == 0)
    assert told(await windows.ask(Window("k", 9, 1))) == ([1], None)


async def test_a_key_that_would_stay_for_ever_does_not(windows: Windows, server: "redis.Redis") -> None:
    server.set("k", 3)

    assert told(await windows.ask(Window("k", 9, 1))) == ([4], None)
    assert 0 < int(server.pttl("k")) <= 60_000  # type: ignore[arg-type]


async def test_many_processes_at_once_get_the_limit_exactly(url: str, server: "redis.Redis") -> None:
    server.flushdb()
    everybody = [Windows(url) for _ in range(4)]
    asked = await asyncio.gather(*(everybody[place % 4].ask(Window("k", 73, 1)) for place in range(300)))

    assert sorted(answer.counts[0].used for answer in asked if answer and answer.refused is None) == [*range(1, 74)]
    assert sum(1 for answer in asked if answer and answer.refused == 0) == 227
    for one in everybody:
        await one.close()


async def test_a_script_that_redis_has_forgotten_is_told_again(windows: Windows, server: "redis.Redis") -> None:
    await windows.ask(Window("k", 9, 1))
    server.script_flush()

    assert told(await windows.ask(Window("k", 9, 1))) == ([2], None)


ask = st.lists(
    st.tuples(st.sampled_from(NAMES), st.one_of(st.none(), st.integers(0, 8)), st.integers(0, 5)),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one[0],
)
turn = st.sampled_from(NAMES)


@given(st.lists(st.one_of(ask, turn), max_size=30))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_questions_are_answered_as_a_plain_count_would(url: str, server: "redis.Redis", story: list[Any]) -> None:
    """Windows turn when their time is up: here it is up when the story says so."""
    server.flushdb()
    used: dict[str, int] = dict.fromkeys(NAMES, 0)

    async def tell() -> None:
        windows = Windows(url)
        for event in story:
            if isinstance(event, str):
                server.delete(event)
                used[event] = 0
                continue
            answer = await windows.ask(*(Window(*one) for one in event))
            full = [
                place
                for place, (key, limit, cost) in enumerate(event)
                if limit is not None and used[key] + max(cost, 1) > limit
            ]
            if not full:
                for key, _, cost in event:
                    used[key] += cost
            assert told(answer) == ([used[key] for key, _, _ in event], full[0] if full else None)
        await windows.close()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:  # the session has a loop of its own
        runner.run(tell())

    for name in NAMES:
        assert int(server.get(name) or 0) == used[name]  # type: ignore[arg-type]
        assert server.exists(name) == (used[name] > 0)
        assert int(server.pttl(name)) <= 60_000  # type: ignore[arg-type]
        assert (int(server.pttl(name)) > 0) == (used[name] > 0)  # type: ignore[arg-type]


@pytest.fixture
def own(room: Path) -> Iterator[Valkey]:
    """A server that may be stopped."""
    made = Valkey(room / "stopped")
    made.start()
    yield made
    made.stop()


@pytest.mark.alone
async def test_a_redis_that_is_away_is_waited_for_briefly_and_said_once(own: Valkey) -> None:
    windows = Windows(own.url)
    assert told(await windows.ask(Window("k", 1, 1))) == ([1], None)
    with redis.Redis.from_url(own.url) as client, structlog.testing.capture_logs() as logs:
        client.execute_command("CLIENT", "PAUSE", "4000", "ALL")
        async with asyncio.timeout(2):  # it is frozen, and nobody says so
            assert await windows.ask(Window("k", 1, 1)) is None
        async with asyncio.timeout(0.5):  # and isn't waited for by everybody
            assert [await windows.ask(Window("k", 1, 1)) for _ in range(20)] == [None] * 20

        async def answered() -> Answer:
            while (answer := await windows.ask(Window("k", 1, 0))) is None:  # noqa: ASYNC110 # Redis doesn't tell
                await asyncio.sleep(0.05)
            return answer

        async with asyncio.timeout(15):
            assert told(await answered()) == ([1], 0)
    assert [line["event"] for line in logs] == ["limits.uncounted", "limits.counted_again"]
    await windows.close()
