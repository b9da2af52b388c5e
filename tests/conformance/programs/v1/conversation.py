"""Functions, cancelling and mistakes through the oldest client.

Arguments: the server's address, a model that calls functions, one that hangs.
"""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types; and for types of its time

import json
import sys
import time

import openai
from openai import OpenAI

base_url, calling, hanging = sys.argv[1:]
client = OpenAI(base_url=base_url)
openai.base_url = base_url + "/"  # the other way of that time: functions of the module


def wait(run):
    """Poll until the run needs somebody, or is over."""
    give_up_at = time.monotonic() + 20
    while run.status in ("queued", "in_progress", "cancelling"):
        assert time.monotonic() < give_up_at, run
        time.sleep(0.05)
        run = client.beta.threads.runs.retrieve(thread_id=run.thread_id, run_id=run.id)
    return run


def error(call, *args, **kwargs):
    """The exception that the call raises."""
    try:
        call(*args, **kwargs)
    except openai.APIStatusError as caught:
        return {"type": type(caught).__name__, "status": caught.status_code, "body": caught.response.json()}
    return None


# Functions.
assistant = openai.beta.assistants.create(
    model=calling,
    tools=[
        {
            "type": "function",
            "function": {
                "name": "getCurrentWeather",
                "description": "Get the weather in location",
                "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
            },
        }
    ],
)
thread = client.beta.threads.create(messages=[{"role": "user", "content": "What's the weather?"}])
run = wait(client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id))
calls = []
while run.status == "requires_action":
    assert run.required_action is not None
    wanted = run.required_action.submit_tool_outputs.tool_calls
    calls.append([(call.function.name, json.loads(call.function.arguments)) for call in wanted])
    run = wait(
        client.beta.threads.runs.submit_tool_outputs(
            thread_id=thread.id,
            run_id=run.id,
            tool_outputs=[{"tool_call_id": call.id, "output": f"output {n}"} for n, call in enumerate(wanted)],
        )
    )
steps = client.beta.threads.runs.steps.list(thread_id=thread.id, run_id=run.id, order="asc")

# A thread and its run at once; cancelled.
sleeper = client.beta.assistants.create(model=hanging)
sleeping = client.beta.threads.create_and_run(
    assistant_id=sleeper.id, thread={"messages": [{"role": "user", "content": "Good night."}]}
)
busy = {
    "second run": error(client.beta.threads.runs.create, thread_id=sleeping.thread_id, assistant_id=sleeper.id),
    "message": error(client.beta.threads.messages.create, sleeping.thread_id, role="user", content="Hello?"),
}
client.beta.threads.runs.cancel(thread_id=sleeping.thread_id, run_id=sleeping.id)
cancelled = wait(sleeping)

# Mistakes.
errors = {
    "no assistant": error(client.beta.assistants.retrieve, "asst_nobody"),
    "no thread": error(client.beta.threads.retrieve, "thread_none"),
    "two roles": error(client.beta.threads.messages.create, thread.id, role="robot", content="Beep"),
    "wrong key": error(OpenAI(base_url=base_url, api_key="sk-wrong").beta.assistants.list),
}

print(
    json.dumps(
        {
            "calls": calls,
            "status": run.status,
            "steps": [step.model_dump(exclude_unset=True) for step in steps],
            "sleeping": {"thread": sleeping.thread_id, "run": sleeping.id},
            "busy": busy,
            "cancelled": cancelled.status,
            "errors": errors,
        }
    )
)
