"""Requests a minute, of a project and of a model: who gets through, what counts, and what the others are told."""

import asyncio
import re
from collections import Counter
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from tests.conformance.schema.recorder import Recorder
from tests.limits.conftest import Tenant
from tests.metrics.scrape import value
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import until

CLIENTS = 50
THREAD: Any = {"messages": [{"role": "user", "content": "Hello?"}]}


def headers_of(answer: httpx2.Response) -> dict[str, str]:
    """What it tells of limits."""
    return {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit-")}


def session(tenant: Tenant, address: str | None = None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=Recorder(),
        base_url=address or tenant.system.base_url,
        headers={"authorization": f"Bearer {tenant.project.key}"},
        timeout=30,
    )


async def test_of_many_clients_on_two_processes_exactly_as_many_as_may(tenant: Tenant) -> None:
    await tenant.limit(max_requests_per_1_minute=73)
    statuses: Counter[int] = Counter()

    async def use(place: int) -> None:
        async with session(tenant, tenant.system.addresses[place % 2]) as client:
            for _ in range(4):
                statuses[(await client.get("/assistants")).status_code] += 1

    await asyncio.gather(*(use(place) for place in range(CLIENTS)))

    assert statuses == {200: 73, 429: CLIENTS * 4 - 73}


async def test_of_many_clients_exactly_as_many_runs_as_may(tenant: Tenant, model: ScriptedModel) -> None:
    """A model's limit counts what creates a run, and nothing else."""
    name = model.script(*[Say("Here.")] * 20)
    assistant = await tenant.project.client.beta.assistants.create(model=name)
    await tenant.limit_model(name, max_requests_per_1_minute=20)
    statuses: Counter[int] = Counter()

    async def use(place: int) -> None:
        async with session(tenant, tenant.system.addresses[place % 2]) as client:
            (await client.get("/assistants")).raise_for_status()
            answer = await client.post("/threads/runs", json={"assistant_id": assistant.id, "thread": THREAD})
            statuses[answer.status_code] += 1

    await asyncio.gather(*(use(place) for place in range(CLIENTS)))

    assert statuses == {200: 20, 429: 30}
    created = "SELECT count(*), count(*) FILTER (WHERE status = 'completed') FROM runs WHERE project_id = %s"
    await until(lambda: tenant.system.query(created, tenant.id) == [(20, 20)])
    ((threads,),) = tenant.system.query("SELECT count(*) FROM threads WHERE project_id = %s", tenant.id)
    assert threads == 20, "who is refused leaves nothing"


async def test_what_is_said_of_a_projects_limit(tenant: Tenant) -> None:
    await tenant.limit(max_requests_per_1_minute=2)
    async with session(tenant) as client:
        for remaining in ("1", "0"):
            told = headers_of(await client.get("/assistants"))
            assert told.pop("x-ratelimit-reset-requests")
            assert told == {"x-ratelimit-limit-requests": "2", "x-ratelimit-remaining-requests": remaining}
        tenant.windows.pexpire(tenant.window("requests:"), 41_000)
        refused = await client.get("/assistants")

    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error | {"message": ""} == {"message": "", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    said = re.fullmatch(
        rf"Rate limit reached for all models in project {tenant.id} on requests per min \(RPM\): "
        r"Limit 2, Used 2, Requested 1\. Please try again in (4[01](?:\.\d+)?)s\.",
        error["message"],
    )
    assert said is not None, error["message"]
    told = headers_of(refused)
    assert told.pop("x-ratelimit-reset-requests") == f"{said[1]}s"
    assert told == {"x-ratelimit-limit-requests": "2", "x-ratelimit-remaining-requests": "0"}
    assert int(refused.headers["retry-after-ms"]) == round(float(said[1]) * 1000)
    assert refused.headers["retry-after"] == "41"


async def test_what_is_said_of_a_models_limit(tenant: Tenant, model: ScriptedModel) -> None:
    """The assistant's model, or the one that the run asks for itself; where both limits count, the tighter is told."""
    own, other = model.script(Say("One.")), model.script(Say("Two."), Say("Three."))
    assistant = await tenant.project.client.beta.assistants.create(model=own)
    await tenant.limit_model(own, max_requests_per_1_minute=1, max_tokens_per_1_minute=5000)
    await tenant.limit(max_requests_per_1_minute=3)
    body = {"assistant_id": assistant.id, "thread": THREAD}
    async with session(tenant) as client:
        first = await client.post("/threads/runs", json=body)
        refused = await client.post("/threads/runs", json=body)
        others = [await client.post("/threads/runs", json={**body, "model": other}) for _ in range(2)]
        last = await client.post("/threads/runs", json={**body, "model": other})

    told = headers_of(first)
    assert {told.pop(f"x-ratelimit-reset-{unit}") for unit in ("requests", "tokens")} >= {"0s"}
    assert told == {
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-limit-tokens": "5000",
        "x-ratelimit-remaining-tokens": "5000",
    }
    assert refused.status_code == 429
    assert refused.json()["error"]["message"].startswith(f"Rate limit reached for {own} in project {tenant.id} on requ")
    assert [answer.status_code for answer in others] == [200, 200], "what was refused counted for neither limit"
    assert headers_of(others[1])["x-ratelimit-limit-requests"] == "3"
    assert last.json()["error"]["message"].startswith("Rate limit reached for all models in project")
    used = tenant.used()
    assert (used["requests:"], used[f"requests:{own}"]) == (3, 1)


async def test_a_run_on_a_thread_counts_like_one_with_a_thread(tenant: Tenant, model: ScriptedModel) -> None:
    name, gate = model.script(), Gate()
    model.script(Say(["One", gate]), name=name)
    client = tenant.project.client.beta
    assistant, thread = await client.assistants.create(model=name), await client.threads.create()
    await tenant.limit_model(name, max_requests_per_1_minute=1)

    run = await client.threads.runs.create(thread.id, assistant_id=assistant.id)
    with pytest.raises(openai.RateLimitError) as refused:  # and is not told that the thread is busy
        await client.threads.runs.create(thread.id, assistant_id=assistant.id)
    extension = {"assistantd": {"when_busy": "cancel_active"}}
    with pytest.raises(openai.RateLimitError):  # nor is the active run cancelled
        await client.threads.runs.create(thread.id, assistant_id=assistant.id, extra_body=extension)

    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "requests")
    gate.open()
    ended = await client.threads.runs.poll(run.id, thread_id=thread.id, poll_interval_ms=20)
    assert ended.status == "completed"


async def test_what_counts(tenant: Tenant) -> None:
    """What is refused before anybody looks at its body does not, nor what is answered from what is kept."""
    await tenant.limit(max_requests_per_1_minute=100)
    async with session(tenant) as client:

        async def counts(method: str, path: str, **options: Any) -> tuple[int, int]:
            before = tenant.used().get("requests:", 0)
            answer = await client.request(method, path, **options)
            return answer.status_code, tenant.used().get("requests:", 0) - before

        once = {"idempotency-key": "once"}
        assert await counts("GET", "/assistants") == (200, 1)
        assert await counts("GET", "/assistants", headers={"authorization": "Bearer sk-other"}) == (401, 0)
        assert await counts("GET", "/assistants?colour=red") == (400, 0)
        assert await counts("POST", "/threads", content=b"x", headers={"content-type": "text/plain"}) == (400, 0)
        assert await counts("GET", "/nothing") == (404, 0)
        assert await counts("POST", "/assistants", json={"model": 5}) == (400, 1)
        assert await counts("GET", "/threads/thread_none") == (404, 1)
        assert await counts("POST", "/threads", json={}, headers=once) == (200, 1)
        assert await counts("POST", "/threads", json={}, headers=once) == (200, 0)
        assert await counts("POST", "/threads/runs", json={"assistant_id": 5}) == (400, 0)
        assert await counts("POST", "/threads/runs", json={"assistant_id": "asst_none"}) == (404, 1)
        assert await counts("GET", "/threads/thread_none/runs") == (404, 1)


async def test_what_is_refused_for_a_limit_leaves_its_idempotency_key(tenant: Tenant) -> None:
    await tenant.limit(max_requests_per_1_minute=1)
    once = {"idempotency-key": "once"}
    async with session(tenant) as client:
        assert (await client.get("/assistants")).status_code == 200
        assert (await client.post("/threads", json={}, headers=once)).status_code == 429
        tenant.windows.delete(tenant.window("requests:"))
        made = await client.post("/threads", json={}, headers=once)
        again = await client.post("/threads", json={}, headers=once)

    assert made.status_code == 200
    assert again.json() == made.json(), "although the limit is used up"
    assert headers_of(again) == {}


async def test_streams_and_their_refusals(tenant: Tenant, model: ScriptedModel) -> None:
    name = model.script(Say("Here."))
    client = tenant.project.client
    assistant = await client.beta.assistants.create(model=name)
    await tenant.limit_model(name, max_requests_per_1_minute=1)

    async with session(tenant) as plain:
        body = {"assistant_id": assistant.id, "thread": THREAD, "stream": True}
        streamed = await plain.post("/threads/runs", json=body)
    assert headers_of(streamed)["x-ratelimit-remaining-requests"] == "0"
    assert streamed.text.endswith("data: [DONE]\n\n")
    with pytest.raises(openai.RateLimitError):
        async with client.beta.threads.create_and_run_stream(assistant_id=assistant.id):
            pass


async def test_a_project_without_limits_asks_nothing_of_redis(tenant: Tenant, model: ScriptedModel) -> None:
    def asked() -> int:
        stats: Any = tenant.windows.info("commandstats")
        return sum(facts["calls"] for name, facts in stats.items() if name.startswith("cmdstat_eval"))

    before = asked()
    name = model.script(Say("Here."))
    client = tenant.project.client
    assistant = await client.beta.assistants.create(model=name)
    run = await client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    async with session(tenant) as plain:
        told = headers_of(await plain.get("/assistants"))

    assert run.status == "completed"
    assert asked() == before
    assert told == {}
    assert tenant.used() == {}


async def test_the_official_client_tries_again_when_it_may(tenant: Tenant) -> None:
    """The window is made shorter than it was: what it has left is what the client is told to wait."""
    await tenant.limit(max_requests_per_1_minute=1)
    recorder = Recorder()
    http = httpx2.AsyncClient(transport=recorder)
    async with AsyncOpenAI(base_url=tenant.system.base_url, api_key=tenant.project.key, http_client=http) as client:
        await client.models.list()
        with pytest.raises(openai.RateLimitError) as refused:
            await client.with_options(max_retries=0).models.list()
        assert refused.value.code == "rate_limit_exceeded"
        assert refused.value.status_code == 429

        tenant.windows.pexpire(tenant.window("requests:"), 1500)
        answer = await client.models.with_raw_response.list()

    recorder.check()
    assert answer.retries_taken == 1
    assert tenant.used() == {"requests:": 1}


async def test_limits_are_known_to_every_process_in_a_second_and_may_be_lifted(tenant: Tenant) -> None:
    async with session(tenant, tenant.system.addresses[0]) as one, session(tenant, tenant.system.addresses[1]) as two:

        async def statuses() -> list[int]:
            return [(await client.get("/assistants")).status_code for client in (one, two)]

        assert await statuses() == [200, 200]
        await tenant.limit(max_requests_per_1_minute=1)
        assert await statuses() == [200, 429]
        await tenant.limit(max_requests_per_1_minute=None)
        assert await statuses() == [200, 200]


async def test_what_is_refused_is_counted_by_kind(tenant: Tenant, model: ScriptedModel) -> None:
    def refused() -> dict[str, float]:
        kinds = ("requests", "model_requests", "tokens", "stored_bytes")
        port = tenant.system.metrics_port
        return {kind: value(port, "assistantd_limits_refused_total", kind=kind) for kind in kinds}

    name = model.script(Say("Here."))
    assistant = await tenant.project.client.beta.assistants.create(model=name)
    body = {"assistant_id": assistant.id, "thread": THREAD}
    before = refused()
    await tenant.limit_model(name, max_requests_per_1_minute=1, max_tokens_per_1_minute=1)
    await tenant.limit(max_requests_per_1_minute=3, max_stored_bytes=1)
    async with session(tenant, tenant.system.addresses[0]) as client:
        form: Any = {"files": {"file": ("a.txt", b"xx")}, "data": {"purpose": "assistants"}}
        statuses = [(await client.post("/files", **form)).status_code]
        statuses += [(await client.post("/threads/runs", json=body)).status_code for _ in range(2)]
        tenant.windows.delete(tenant.window(f"requests:{name}"))
        await until(lambda: tenant.used().get(f"tokens:{name}", 0) > 0)
        statuses.append((await client.post("/threads/runs", json=body)).status_code)
        statuses += [(await client.get("/assistants")).status_code for _ in range(2)]

    assert statuses == [400, 200, 429, 429, 200, 429]
    assert {kind: count - before[kind] for kind, count in refused().items()} == dict.fromkeys(before, 1.0)
