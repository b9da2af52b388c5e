"""What is seen of a run where OpenTelemetry's variables ask for traces, and that nothing is where they don't."""

import json
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from openai import APIStatusError
from openai.types.beta.threads import Run

from shared.settings import telemetry
from tests.scripted_model import CallFunctions, Fail, Gate, Say, ScriptedModel
from tests.system import Project, System, until
from tests.tracing.collector import Collector, Spanned, tree
from tests.tracing.conftest import Build
from tests.vector_stores import POLL_MS, upload

CANARY = "xylophone"
"""In everything that is content."""
CLIENTS_TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENTS_SPAN = "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{CLIENTS_TRACE}-{CLIENTS_SPAN}-01"}

FUNCTION: Any = {
    "type": "function",
    "function": {"name": "play", "description": CANARY, "parameters": {"type": "object"}},
}
SERVER, CLIENT, INTERNAL, CONSUMER = 2, 3, 1, 5


async def create(project: Project, model: str, headers: dict[str, str] | None = None, **params: Any) -> Run:
    assistant = await project.client.beta.assistants.create(
        model=model, name=CANARY, instructions=f"Play the {CANARY}.", **params
    )
    thread: Any = {"messages": [{"role": "user", "content": f"Do you play the {CANARY}?"}]}
    return await project.client.beta.threads.create_and_run(
        assistant_id=assistant.id, thread=thread, metadata={"what": CANARY}, extra_headers=headers or {}
    )


async def poll(project: Project, run: Run) -> Run:
    return await project.client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=20)


async def submit(project: Project, run: Run) -> Run:
    assert run.required_action is not None
    calls = run.required_action.submit_tool_outputs.tool_calls
    outputs: Any = [{"tool_call_id": call.id, "output": f"The {CANARY} sounds."} for call in calls]
    await project.client.beta.threads.runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=outputs)
    return await poll(project, run)


@pytest.fixture
async def stored(project: Project) -> str:
    store = await project.client.vector_stores.create(name=CANARY)
    file_id = await upload(project.client, f"The {CANARY} has bars of wood.".encode(), f"{CANARY}.txt")
    await project.client.vector_stores.files.create_and_poll(
        file_id, vector_store_id=store.id, poll_interval_ms=POLL_MS
    )
    return store.id


def named(spans: list[Spanned], name: str) -> list[Spanned]:
    return [span for span in spans if span.name == name]


async def test_one_trace_tells_of_a_run_with_all_its_tools_and_of_none_of_its_content(
    project: Project, model: ScriptedModel, collector: Collector, stored: str
) -> None:
    name = model.script(
        CallFunctions([("file_search", {"queries": [f"Where is the {CANARY}?"]})]),
        CallFunctions([("code_interpreter", {"code": f"print('{CANARY}')"})]),
        CallFunctions([("play", {"what": CANARY})]),
        Say(f"I play the {CANARY}."),
    )
    tools: Any = [{"type": "file_search"}, {"type": "code_interpreter"}, FUNCTION]
    resources: Any = {"file_search": {"vector_store_ids": [stored]}}

    with pytest.raises(APIStatusError):
        await project.client.beta.threads.retrieve(f"thread_{CANARY}")
    run = await poll(project, await create(project, name, TRACEPARENT, tools=tools, tool_resources=resources))
    assert run.status == "requires_action"
    assert (await submit(project, run)).status == "completed"

    collector.wait("invoke_agent", assistantd__run_id=run.id, assistantd__status="completed")
    collector.wait("POST /v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", assistantd__run_id=run.id)
    spans = collector.of(CLIENTS_TRACE)
    (request,) = named(spans, "POST /v1/threads/runs")
    assert (request.parent, request.kind, request.service) == (CLIENTS_SPAN, SERVER, "assistantd-api")
    assert request.attributes["http.route"] == "/v1/threads/runs"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["assistantd.run_id"] == run.id
    assert "runs.CREATE_WITH_THREAD" in tree(spans, request)

    attempts = named(spans, "invoke_agent")
    assert [one.attributes["assistantd.status"] for one in attempts] == ["requires_action", "completed"]
    assert {one.parent for one in attempts} == {request.id}
    first, second = attempts
    assert (first.kind, first.service) == (CONSUMER, "assistantd-worker")
    assert first.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert first.attributes["gen_ai.agent.id"] == run.assistant_id
    assert first.attributes["gen_ai.conversation.id"] == run.thread_id
    below = tree(spans, first)
    chat = f"chat {name}"
    assert {"claim", chat, "execute_tool file_search", "execute_tool code_interpreter"} <= set(below)
    assert {"runs.settle recorded", "runs.settle action_required"} & set(below)
    searched = below["execute_tool file_search"][f"retrieval {stored}"]
    assert {"embeddings scripted", "vector_stores.search"} <= set(searched)
    assert {"sandbox.open", "sandbox.execute"} <= set(below["execute_tool code_interpreter"])
    assert set(tree(spans, second)) >= {chat}

    the_turns_are_told(spans, model, name)
    (submitted,) = (
        span
        for span in collector.spans
        if span.name.endswith("/submit_tool_outputs") and span.attributes["assistantd.run_id"] == run.id
    )
    assert submitted.trace != CLIENTS_TRACE
    assert submitted.links == [CLIENTS_TRACE]
    file = collector.wait("ingest_file", assistantd__vector_store_id=stored)
    assert {"ingest_file read", "ingest_file embed"} <= set(tree(collector.of(file.trace), file))
    for span in collector.spans:
        assert CANARY.encode() not in span.raw, span.name
        assert project.key.encode() not in span.raw
    assert {headers["x-tenant"] for headers in collector.headers} == {"ours"}
    nobody_waits_for = {"runs.RENEW", "runs.RING_AGAIN", "runs.FREE_THREADS"}
    assert not nobody_waits_for & {span.name for span in collector.spans}
    assert all(span.parent for span in spans)


def the_turns_are_told(spans: list[Spanned], model: ScriptedModel, name: str) -> None:
    turns = named(spans, f"chat {name}")
    assert len(turns) == 4
    assert {turn.kind for turn in turns} == {CLIENT}
    assert [turn.attributes["gen_ai.response.finish_reasons"] for turn in turns] == [*[["tool_calls"]] * 3, ["stop"]]
    for turn in turns:
        assert turn.attributes["gen_ai.provider.name"] == "openai"
        assert turn.attributes["gen_ai.usage.input_tokens"] > 0
        assert turn.attributes["gen_ai.response.time_to_first_chunk"] > 0
    (call,) = named(spans, "execute_tool code_interpreter")
    assert call.attributes["gen_ai.tool.type"] == "extension"
    assert call.attributes["gen_ai.tool.call.id"].startswith("call_")
    asked = [one.headers["traceparent"] for one in model.requests(name)]
    assert asked == [f"00-{CLIENTS_TRACE}-{turn.id}-01" for turn in turns]


async def test_log_lines_bear_the_trace(
    project: Project, model: ScriptedModel, collector: Collector, system: System
) -> None:
    run = await poll(project, await create(project, model.script(Fail(400, f"no {CANARY} here"))))
    assert run.status == "failed"

    attempt = collector.wait("invoke_agent", assistantd__run_id=run.id)
    assert attempt.failed
    assert attempt.attributes["error.type"] == run.last_error.code if run.last_error else False
    (turn,) = (span for span in collector.of(attempt.trace) if span.name.startswith("chat "))
    assert turn.failed
    worker = next(process.log for process in system.processes if process.log.name.startswith("worker"))
    lines = [json.loads(line) for line in worker.read_text().splitlines() if run.id in line]
    assert [(line["trace_id"], line["span_id"]) for line in lines if line["event"] == "run.settled"] == [
        (attempt.trace, attempt.id)
    ]
    assert CANARY.encode() not in turn.raw + attempt.raw


async def test_a_killed_workers_run_goes_on_in_the_same_trace(
    build: Build, collector: Collector, model: ScriptedModel
) -> None:
    system = build("killed", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, ASSISTANTD_LEASE_DURATION="1")
    system.start()
    gate = Gate()
    async with Project.of(system) as project:
        name = model.script(
            CallFunctions([("play", {})]), Say(["Slowly", gate, "."]), Say("I play."), name="after-a-death"
        )
        run = await poll(project, await create(project, name, tools=[FUNCTION]))
        collector.wait("invoke_agent", assistantd__run_id=run.id, assistantd__status="requires_action")
        calls = run.required_action.submit_tool_outputs.tool_calls if run.required_action else []
        outputs: Any = [{"tool_call_id": call.id, "output": "It sounds."} for call in calls]
        await project.client.beta.threads.runs.submit_tool_outputs(
            run.id, thread_id=run.thread_id, tool_outputs=outputs
        )
        await gate.reached()
        system.processes[-1].kill()
        system.spawn_worker().wait_until_ready()
        assert (await poll(project, run)).status == "completed"

    ended = collector.wait("invoke_agent", assistantd__run_id=run.id, assistantd__status="completed")
    before = collector.wait("invoke_agent", assistantd__run_id=run.id, assistantd__status="requires_action")
    assert ended.attributes["assistantd.workers_lost"] == 1
    assert (ended.trace, ended.parent) == (before.trace, before.parent)
    assert ended.attributes["assistantd.term"] > before.attributes["assistantd.term"] + 1


async def test_content_is_there_for_whoever_asks(build: Build, collector: Collector, model: ScriptedModel) -> None:
    system = build(
        "talkative",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces",
        OTEL_SERVICE_NAME="house",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true",
    )
    system.start()
    async with Project.of(system) as project:
        run = await poll(project, await create(project, model.script(Say(f"I play the {CANARY}."))))

    attempt = collector.wait("invoke_agent", assistantd__run_id=run.id)
    assert attempt.service == "house"
    (turn,) = (span for span in collector.of(attempt.trace) if span.name.startswith("chat "))
    asked = json.loads(turn.attributes["gen_ai.input.messages"])
    assert [one["role"] for one in asked] == ["system", "user"]
    assert asked[1]["parts"] == [{"type": "text", "content": f"Do you play the {CANARY}?"}]
    (said,) = json.loads(turn.attributes["gen_ai.output.messages"])
    assert said == {
        "role": "assistant",
        "parts": [{"type": "text", "content": f"I play the {CANARY}."}],
        "finish_reason": "stop",
    }


async def test_an_endpoint_that_is_away_costs_nothing_but_the_spans(build: Build, model: ScriptedModel) -> None:
    nobody = Collector()
    with nobody.listening():
        pass  # its port is free again
    system = build("unheard", OTEL_EXPORTER_OTLP_ENDPOINT=nobody.url, ASSISTANTD_LOG_FORMAT="json")
    system.start()
    async with Project.of(system) as project:
        runs = [await poll(project, await create(project, model.script(Say("I play.")))) for _ in range(3)]
        await until(lambda: "opentelemetry" in system.processes[-1].log.read_text(), timedelta(seconds=30))
        runs += [await poll(project, await create(project, model.script(Say("I play.")))) for _ in range(3)]
    assert [run.status for run in runs] == ["completed"] * 6
    took = [run.completed_at - run.created_at for run in runs if run.completed_at is not None]
    assert max(took) <= 2
    for process in system.processes:
        assert process.stop() in (0, -signal.SIGTERM)
        told = [json.loads(line) for line in process.log.read_text().splitlines() if "opentelemetry" in line]
        assert {line["level"] for line in told} == {"error"}
    assert nobody.requests == 0


async def test_nothing_is_sent_where_it_is_disabled(build: Build, collector: Collector, model: ScriptedModel) -> None:
    system = build("silent", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_SDK_DISABLED="true")
    before = collector.requests
    system.start()
    async with Project.of(system) as project:
        run = await poll(project, await create(project, model.script(Say("I play.")), TRACEPARENT))
    assert run.status == "completed"
    assert system.query("SELECT traceparent FROM runs WHERE id = %s", run.id) == [(None,)]
    system.stop()
    assert collector.requests == before


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"ENDPOINT": ""}, False),
        ({"ENDPOINT": "http://collector:4318"}, True),
        ({"TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_opentelemetrys_variables_decide(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, wanted: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name if name.startswith("OTEL_") else f"OTEL_EXPORTER_OTLP_{name}", value)

    assert telemetry().wants_traces is wanted


def test_without_traces_the_sdk_is_not_loaded() -> None:
    program = """
import sys
from shared.settings import Settings
from shared.tracing.begin import begin
from api.app import create_app
from worker.app import main
begin("worker")
create_app(Settings(database_url="postgresql://", redis_url="redis://"))
ofs = ("opentelemetry.sdk", "opentelemetry.exporter")
print([name for name, module in sys.modules.items() if name.startswith(ofs) and module is not None])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_not_spoken_is_refused(system: System) -> None:
    variables = {**system.environment(), "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", "worker"], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" in done.stderr
