"""Everything done wrong that can be.

Arguments: a model that hangs, one that refuses, one that breaks off; a key to a project that is limited to one request
a minute.
"""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types

import json
import sys

import openai
from openai import OpenAI

client = OpenAI()
hanging, refusing, breaking, limited_key = sys.argv[1:]


def error(call, *args, **kwargs):
    """The exception that the call raises."""
    try:
        call(*args, **kwargs)
    except openai.APIStatusError as caught:
        return {
            "type": type(caught).__name__,
            "status": caught.status_code,
            "body": caught.body,
            "request_id": caught.request_id,
        }
    return None


assistant = client.beta.assistants.create(model=hanging)
thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hello?"}])
threads, runs = client.beta.threads, client.beta.threads.runs
facts = {
    "no assistant": error(client.beta.assistants.retrieve, "asst_nobody"),
    "no thread": error(threads.retrieve, "thread_none"),
    "no message": error(threads.messages.retrieve, "msg_none", thread_id=thread.id),
    "no run": error(runs.retrieve, "run_none", thread_id=thread.id),
    "no step": error(runs.steps.retrieve, "step_none", run_id="run_none", thread_id=thread.id),
    "no file": error(client.files.retrieve, "file-none"),
    "no model": error(client.models.retrieve, "no/such-model"),
    "run without assistant": error(runs.create, thread.id, assistant_id="asst_nobody"),
    "message into nothing": error(threads.messages.create, "thread_none", role="user", content="Hello?"),
    "undefined": error(threads.retrieve, "undefined"),
    "too hot": error(client.beta.assistants.create, model=hanging, temperature=5),
    "unknown parameter": error(client.beta.assistants.create, model=hanging, extra_body={"colour": "red"}),
    "not a page": error(client.beta.assistants.list, limit=0),
    "wrong key": error(OpenAI(api_key="sk-wrong").beta.assistants.list),
    "wrong key, stream": error(OpenAI(api_key="sk-wrong").beta.threads.create_and_run, assistant_id="a", stream=True),
}

limited = OpenAI(api_key=limited_key, max_retries=0)
limited.models.list()
facts["too many requests"] = error(limited.models.list)
facts["too many requests, stream"] = error(limited.beta.threads.create_and_run, assistant_id=assistant.id, stream=True)

run = runs.create(thread.id, assistant_id=assistant.id)
facts["ids"] = {"thread": thread.id, "run": run.id}
facts["second run"] = error(runs.create, thread.id, assistant_id=assistant.id)
facts["second run, stream"] = error(runs.create, thread.id, assistant_id=assistant.id, stream=True)
facts["message during a run"] = error(threads.messages.create, thread.id, role="user", content="Hello?")
facts["outputs for nothing"] = error(
    runs.submit_tool_outputs, run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": "call_1", "output": ""}]
)
runs.cancel(run.id, thread_id=thread.id)
ended = runs.poll(run.id, thread_id=thread.id, poll_interval_ms=20)
facts["cancelled twice"] = error(runs.cancel, run.id, thread_id=thread.id)
facts["status"] = ended.status

failures = {}
for name in (refusing, breaking):
    failing = client.beta.assistants.create(model=name)
    with threads.create_and_run_stream(
        assistant_id=failing.id, thread={"messages": [{"role": "user", "content": "Hello?"}]}
    ) as stream:
        events = [event.event for event in stream]
    failures[name] = {
        "events": events,
        "streamed": stream.get_final_run().to_dict(mode="json"),
        "retrieved": runs.retrieve(stream.current_run.id, thread_id=stream.current_run.thread_id).to_dict(mode="json"),
    }
facts["failures"] = failures

print(json.dumps(facts))
