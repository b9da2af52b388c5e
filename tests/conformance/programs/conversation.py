"""Ask and poll; make thread and run at once; call functions; cancel. Arguments: a model for each of the four."""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types

import json
import sys

from openai import OpenAI, __version__

client = OpenAI()
answering, welcoming, calling, hanging = sys.argv[1:]

# Ask.
assistant = client.beta.assistants.create(
    name="Math Tutor",
    instructions="You are a personal math tutor. Write and run code to answer math questions.",
    model=answering,
)
thread = client.beta.threads.create()
message = client.beta.threads.messages.create(
    thread_id=thread.id, role="user", content="I need to solve the equation `3x + 11 = 14`. Can you help me?"
)
run = client.beta.threads.runs.create_and_poll(
    thread_id=thread.id,
    assistant_id=assistant.id,
    instructions="Please address the user as Jane Doe. The user has a premium account.",
)
messages = client.beta.threads.messages.list(thread_id=thread.id)
steps = client.beta.threads.runs.steps.list(thread_id=thread.id, run_id=run.id)
step = client.beta.threads.runs.steps.retrieve(thread_id=thread.id, run_id=run.id, step_id=steps.data[0].id)

# A thread and its run at once.
greeter = client.beta.assistants.create(model=welcoming)
greeted = client.beta.threads.create_and_run_poll(
    assistant_id=greeter.id, thread={"messages": [{"role": "user", "content": "Good morning!"}]}
)
greeting = client.beta.threads.messages.list(greeted.thread_id, run_id=greeted.id)

# Functions: one call, then two at once.
forecaster = client.beta.assistants.create(
    model=calling,
    tools=[
        {
            "type": "function",
            "function": {
                "name": "get_current_temperature",
                "description": "Get the current temperature for a specific location",
                "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
            },
        }
    ],
)
forecast = client.beta.threads.create(messages=[{"role": "user", "content": "How warm is it?"}])
calls = []
asking = client.beta.threads.runs.create_and_poll(
    thread_id=forecast.id, assistant_id=forecaster.id, poll_interval_ms=20
)
while asking.status == "requires_action":
    wanted = asking.required_action.submit_tool_outputs.tool_calls
    calls.append([(tool.function.name, json.loads(tool.function.arguments)) for tool in wanted])
    asking = client.beta.threads.runs.submit_tool_outputs_and_poll(
        thread_id=forecast.id,
        run_id=asking.id,
        tool_outputs=[{"tool_call_id": tool.id, "output": f"{20 + n}"} for n, tool in enumerate(wanted)],
        poll_interval_ms=20,
    )

# Cancel.
sleeper = client.beta.assistants.create(model=hanging)
night = client.beta.threads.create(messages=[{"role": "user", "content": "Good night."}])
sleeping = client.beta.threads.runs.create(thread_id=night.id, assistant_id=sleeper.id)
while sleeping.status == "queued":
    sleeping = client.beta.threads.runs.retrieve(sleeping.id, thread_id=night.id)
cancelling = client.beta.threads.runs.cancel(sleeping.id, thread_id=night.id)
cancelled = client.beta.threads.runs.poll(sleeping.id, thread_id=night.id, poll_interval_ms=20)

print(
    json.dumps(
        {
            "version": __version__,
            "assistant": assistant.to_dict(mode="json"),
            "message": message.to_dict(mode="json"),
            "run": run.to_dict(mode="json"),
            "messages": [(m.role, m.content[0].text.value) for m in messages],
            "steps": [s.to_dict(mode="json") for s in steps],
            "step": step.to_dict(mode="json"),
            "greeted": greeted.status,
            "greeting": [m.content[0].text.value for m in greeting],
            "calls": calls,
            "answered": asking.status,
            "cancelling": cancelling.status,
            "cancelled": cancelled.to_dict(mode="json"),
        }
    )
)
