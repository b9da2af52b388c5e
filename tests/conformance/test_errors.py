"""Mistakes and failures, as the exceptions and final runs that each SDK makes of them."""

from uuid import uuid4

from tests.conformance.conftest import Programs
from tests.scripted_model import Break, Fail, Hang, Say, ScriptedModel
from tests.system import System

NOT_FOUND = {
    "no assistant": "No assistant found with id 'asst_nobody'.",
    "no thread": "No thread found with id 'thread_none'.",
    "no message": "No message found with id 'msg_none'.",
    "no run": "No run found with id 'run_none'.",
    "run without assistant": "No assistant found with id 'asst_nobody'.",
    "message into nothing": "No thread found with id 'thread_none'.",
}
NOT_FOUND_OTHERWISE = ["no step", "no file", "no model"]
PARAMS = {"undefined": "thread_id", "too hot": "temperature", "unknown parameter": "colour", "not a page": "limit"}


async def test_a_program_that_does_everything_wrong(programs: Programs, model: ScriptedModel, system: System) -> None:
    refusing = model.script(Fail(400, "no"))
    breaking = model.script(Break(Say("One two three four"), 2))

    name = f"limited-{uuid4().hex[:12]}"
    limited = await system.key(name)
    system.query("UPDATE projects SET max_requests_per_minute = 1 WHERE name = %s", name)

    facts = await programs.run("errors", model.script(Hang()), refusing, breaking, limited)

    said = {name: fact["body"]["message"] for name, fact in facts.items() if isinstance(fact, dict) and "body" in fact}
    kinds = {name: facts[name]["type"] for name in said}
    assert {name: said[name] for name in NOT_FOUND} == NOT_FOUND
    assert {kinds[name] for name in [*NOT_FOUND, *NOT_FOUND_OTHERWISE]} == {"NotFoundError"}
    assert {name: facts[name]["body"]["param"] for name in PARAMS} == PARAMS
    assert kinds["wrong key"] == kinds["wrong key, stream"] == "AuthenticationError"
    assert facts["wrong key"]["body"]["code"] == "invalid_api_key"
    assert said["undefined"] == "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'."

    for place in ("too many requests", "too many requests, stream"):
        fact = facts[place]
        assert (fact["type"], fact["status"]) == ("RateLimitError", 429)
        assert fact["body"] | {"message": ""} == {
            "message": "",
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        }
        assert "on requests per min (RPM): Limit 1, Used 1, Requested 1. Please try again in " in said[place]

    thread, run = facts["ids"]["thread"], facts["ids"]["run"]
    busy = f"Thread {thread} already has an active run {run}."
    assert said["second run"] == said["second run, stream"] == busy
    assert said["message during a run"] == f"Can't add messages to {thread} while a run {run} is active."
    assert said["outputs for nothing"].endswith("do not accept tool outputs.")
    assert said["cancelled twice"] == "Cannot cancel run with status 'cancelled'."
    bad = [
        *PARAMS,
        "second run",
        "second run, stream",
        "message during a run",
        "outputs for nothing",
        "cancelled twice",
    ]
    assert {kinds[name] for name in bad} == {"BadRequestError"}
    assert facts["status"] == "cancelled"

    for fact in (facts[name] for name in said):
        assert set(fact["body"]) == {"message", "type", "param", "code"}
        assert fact["request_id"].startswith("req_")

    assert facts["failures"][refusing]["events"][-1] == "thread.run.failed"
    broken = facts["failures"][breaking]["events"]
    assert broken[-3:] == ["thread.message.incomplete", "thread.run.step.failed", "thread.run.failed"]
    for failure in facts["failures"].values():
        assert failure["streamed"] == failure["retrieved"]
