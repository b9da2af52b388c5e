"""What processes tell Prometheus of runs, files and themselves, by real processes."""

import signal
from functools import partial
from typing import Any

import httpx2
import pytest

from tests.metrics.scrape import samples, value
from tests.metrics.stage import Measured, grows
from tests.ports import free_port
from tests.scripted_model import CallFunctions, Fail, Gate, Say, ScriptedModel
from tests.system import NotReady, Project, until
from tests.vector_stores import upload

WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


async def run(project: Project, model: str, **params: Any) -> Any:
    assistant = await project.client.beta.assistants.create(model=model, **params)
    thread: Any = {"messages": [{"role": "user", "content": "Tell me."}]}
    return await project.client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread=thread, poll_interval_ms=20
    )


async def test_a_run_is_counted_where_it_happens(project: Project, model: ScriptedModel, system: Measured) -> None:
    name = model.script(Fail(500, "out of order"), Say("Fine."))
    settled = partial(system.of_worker, "assistantd_runs_settled_total", status="completed", reason="finished")
    counted = {
        key: (count, count())
        for key, count in {
            "settled": settled,
            "created": partial(system.of_api, "assistantd_runs_created_total"),
            "waits": partial(system.of_worker, "assistantd_run_wait_seconds_count"),
            "durations": partial(system.of_worker, "assistantd_run_duration_seconds_count", status="completed"),
            "turns": partial(system.of_worker, "assistantd_turn_duration_seconds_count", model=name),
            "first tokens": partial(system.of_worker, "assistantd_first_token_seconds_count", model=name),
            "retries": partial(system.of_worker, "assistantd_model_retries_total", code="server_error"),
        }.items()
    }

    done = await run(project, name)

    assert done.status == "completed"
    for count, before in counted.values():
        await grows(count, before)
    for kind, figure in (("prompt", done.usage.prompt_tokens), ("completion", done.usage.completion_tokens)):
        assert figure > 0
        assert system.of_worker("assistantd_tokens_total", model=name, kind=kind) == figure


async def test_a_failed_run_says_that_the_model_failed(
    project: Project, model: ScriptedModel, system: Measured
) -> None:
    failures = partial(system.of_worker, "assistantd_model_failures_total", code="invalid_prompt")
    before = failures()

    assert (await run(project, model.script(Fail(400, "no")))).status == "failed"

    await grows(failures, before)
    assert system.of_worker("assistantd_runs_settled_total", status="failed", reason="failed") >= 1


async def test_rows_are_gauges_of_the_api(project: Project, model: ScriptedModel, system: Measured) -> None:
    """Runs in each of their states, and what waits behind another run of its thread."""
    hold = Gate()
    slow = await project.client.beta.assistants.create(model=model.script(Say(["One", hold]), Say("Two.")))
    waiting = await project.client.beta.assistants.create(
        model=model.script(CallFunctions([("get_weather", "{}")])), tools=[WEATHER]
    )
    thread = await project.client.beta.threads.create()
    first = await project.client.beta.threads.runs.create(thread.id, assistant_id=slow.id)
    await project.client.beta.threads.runs.create(
        thread.id, assistant_id=slow.id, extra_body={"assistantd": {"when_busy": "enqueue"}}
    )
    asked = await project.client.beta.threads.create_and_run_poll(assistant_id=waiting.id, poll_interval_ms=20)
    assert asked.status == "requires_action"

    def active() -> dict[str, float]:
        return {
            status: system.of_api("assistantd_runs_active", status=status)
            for status in ("queued", "waiting", "in_progress", "requires_action")
        }

    expected = {"queued": 0.0, "waiting": 1.0, "in_progress": 1.0, "requires_action": 1.0}
    await until(lambda: active() == expected)
    assert system.of_worker("assistantd_worker_runs_held") == 1
    assert system.of_worker("assistantd_tool_calls_total", tool="function", outcome="handed_over") == 1
    assert system.of_api("assistantd_runs_oldest_queued_seconds") == 0

    hold.open()
    await project.client.beta.threads.runs.poll(first.id, thread_id=thread.id, poll_interval_ms=20)
    cancelled = partial(system.of_api, "assistantd_runs_settled_total", status="cancelled", reason="cancelled")
    before = cancelled()
    await project.client.beta.threads.runs.cancel(asked.id, thread_id=asked.thread_id)
    await grows(cancelled, before)
    await until(lambda: set(active().values()) == {0.0})


async def test_a_lost_worker_shows(project: Project, model: ScriptedModel, system: Measured) -> None:
    """Nobody sweeps, the lease runs out: that is seen from the API. Then another worker is there, and counts."""
    hold = Gate()
    name = model.script(Say(["One", hold]), Say("Done."))
    assistant = await project.client.beta.assistants.create(model=name)
    begun = await project.client.beta.threads.create_and_run(assistant_id=assistant.id)
    await model.requested(name)
    system.worker.kill()

    await until(lambda: system.of_api("assistantd_runs_lease_over") == 1)

    queued = await project.client.beta.threads.create_and_run(assistant_id=assistant.id)
    await until(lambda: system.of_api("assistantd_runs_oldest_queued_seconds") > 1)
    hold.open()
    system.worker_port = free_port()
    system.spawn_worker(metrics_port=str(system.worker_port)).wait_until_ready()
    for one in (begun, queued):
        await project.client.beta.threads.runs.poll(one.id, thread_id=one.thread_id, poll_interval_ms=20)
    assert system.of_worker("assistantd_swept_total", what="run_requeued") == 1
    assert system.of_worker("assistantd_runs_settled_total", status="queued", reason="worker_lost") == 1
    assert system.of_worker("assistantd_last_sweep_timestamp_seconds") > 0
    await until(lambda: system.of_api("assistantd_runs_lease_over") == 0)


async def test_a_frozen_worker_counts_what_it_lost(project: Project, model: ScriptedModel, system: Measured) -> None:
    hold = Gate()
    name = model.script(Say(["One", hold]), Say("Done."))
    assistant = await project.client.beta.assistants.create(model=name)
    begun = await project.client.beta.threads.create_and_run(assistant_id=assistant.id)
    await model.requested(name)
    frozen, port = system.worker, system.worker_port
    before = value(port, "assistantd_leases_lost_total")
    frozen.signal(signal.SIGSTOP)
    system.worker_port = free_port()
    system.spawn_worker(metrics_port=str(system.worker_port)).wait_until_ready()
    hold.open()
    ended = await project.client.beta.threads.runs.poll(begun.id, thread_id=begun.thread_id, poll_interval_ms=20)
    assert ended.status == "completed"

    frozen.signal(signal.SIGCONT)

    await grows(lambda: value(port, "assistantd_leases_lost_total"), before)
    frozen.stop()


async def test_requests_are_counted_by_the_routes_pattern(project: Project, system: Measured) -> None:
    """What a client writes into a path, or invents as a method, is in no label."""
    url = f"{system.base_url}/threads/thread_of_nobody"
    found = partial(
        system.of_api, "assistantd_http_requests_total", route="/threads/{thread_id}", method="GET", code="404"
    )
    before = found()
    async with httpx2.AsyncClient() as http:
        await http.get(url, headers={"authorization": f"Bearer {project.key}"})
        await http.get(f"{system.base_url}/invented/by/a/client")
        await http.request("PROPFIND", url)

    await grows(found, before)
    labels = {(key, val) for _, pairs in samples(system.api_port) for key, val in pairs}
    assert not [pair for pair in labels if "invented" in pair[1] or "nobody" in pair[1] or pair[1] == "PROPFIND"]
    assert ("route", "other") in labels


async def test_open_streams_are_counted(project: Project, model: ScriptedModel, system: Measured) -> None:
    hold = Gate()
    assistant = await project.client.beta.assistants.create(model=model.script(Say(["One", hold])))
    stream = await project.client.beta.threads.create_and_run(assistant_id=assistant.id, stream=True)
    await anext(aiter(stream))
    await until(lambda: system.of_api("assistantd_stream_clients") == 1)
    hold.open()
    async for _ in stream:
        pass
    await until(lambda: system.of_api("assistantd_stream_clients") == 0)


async def test_files_and_searches_are_counted(project: Project, model: ScriptedModel, system: Measured) -> None:
    settled = partial(system.of_worker, "assistantd_files_settled_total", status="completed", reason="indexed")
    searched = partial(system.of_worker, "assistantd_search_duration_seconds_count", by="words")
    before = settled(), searched()
    file_id = await upload(project.client, "Apples keep for months in a cool cellar.")
    store = await project.client.vector_stores.create(name="Fruit")
    await project.client.vector_stores.files.create_and_poll(file_id, vector_store_id=store.id, poll_interval_ms=50)
    await grows(settled, before[0])

    name = model.script(CallFunctions([("file_search", '{"queries": ["apples"]}')]), Say("They keep."))
    resources: Any = {"file_search": {"vector_store_ids": [store.id]}}
    done = await run(project, name, tools=[{"type": "file_search"}], tool_resources=resources)

    assert done.status == "completed"
    await grows(searched, before[1])
    assert system.of_worker("assistantd_tool_calls_total", tool="file_search", outcome="done") == 1
    assert system.of_worker("assistantd_tool_call_duration_seconds_count", tool="file_search") == 1


def test_what_a_process_is_shows(system: Measured) -> None:
    for port, pools in ((system.api_port, {"main": 10}), (system.worker_port, {"main": 10, "vital": 2})):
        assert value(port, "assistantd_event_loop_lag_seconds_count") > 0
        assert value(port, "process_resident_memory_bytes") > 0
        for pool, size in pools.items():
            assert value(port, "assistantd_database_pool_size", pool=pool) == size
    assert value(system.worker_port, "assistantd_worker_runs_capacity") == 1000
    assert value(system.api_port, "assistantd_database_up") == 1


async def test_metrics_are_not_on_the_apis_port(system: Measured) -> None:
    async with httpx2.AsyncClient() as http:
        assert (await http.get(f"{system.base_url.removesuffix('/v1')}/metrics")).status_code == 404


def test_a_port_that_is_taken_is_one_line(system: Measured) -> None:
    process = system.spawn("api", "--port", str(free_port()), metrics_port=str(system.api_port))
    with pytest.raises(NotReady):
        process.wait_until_ready()
    assert process.popen.wait() == 2
    assert process.tail().startswith(f"metrics can't be served on 127.0.0.1:{system.api_port}")
