"""A run followed by a handler, a thread and run followed by another, a run read as raw events. Argument: a model."""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types

import json
import sys

from openai import AssistantEventHandler, OpenAI

client = OpenAI()
(model,) = sys.argv[1:]


class EventHandler(AssistantEventHandler):
    """Notes what it is told, in order."""

    def __init__(self):
        super().__init__()
        self.events = []
        self.told = []
        self.steps = []

    def on_event(self, event):
        self.events.append(event.event)

    def on_message_created(self, message):
        self.told.append(["message_created", message.status, len(message.content)])

    def on_text_created(self, text):
        self.told.append(["text_created", text.value])

    def on_text_delta(self, delta, snapshot):
        self.told.append(["text_delta", delta.value, snapshot.value])

    def on_text_done(self, text):
        self.told.append(["text_done", text.value])

    def on_message_done(self, message):
        self.told.append(["message_done", message.status, len(message.content)])

    def on_run_step_created(self, run_step):
        self.told.append(["run_step_created", run_step.type, run_step.status])

    def on_run_step_done(self, run_step):
        self.told.append(["run_step_done", run_step.type, run_step.status])
        self.steps.append(run_step)

    def on_end(self):
        self.told.append(["end"])

    def on_exception(self, exception):
        self.told.append(["exception", repr(exception)])


def final(handler):
    """What the handler put together, and the steps that it was told of as done; its own stay as they began."""
    run = handler.get_final_run()
    return {
        "run": run.to_dict(mode="json"),
        "steps": [step.to_dict(mode="json") for step in handler.steps],
        "step ids": [step.id for step in handler.get_final_run_steps()],
        "messages": [message.to_dict(mode="json") for message in handler.get_final_messages()],
    }


def retrieved(run_id, thread_id):
    """What the server says afterwards."""
    run = client.beta.threads.runs.retrieve(run_id, thread_id=thread_id)
    steps = client.beta.threads.runs.steps.list(run_id, thread_id=thread_id, order="asc")
    messages = client.beta.threads.messages.list(thread_id, run_id=run_id, order="asc")
    return {
        "run": run.to_dict(mode="json"),
        "steps": [step.to_dict(mode="json") for step in steps],
        "step ids": [step.id for step in steps],
        "messages": [message.to_dict(mode="json") for message in messages],
    }


assistant = client.beta.assistants.create(model=model, instructions="Answer in three words.")
thread = client.beta.threads.create(messages=[{"role": "user", "content": "How are you?"}])

handler = EventHandler()
with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id, event_handler=handler) as stream:
    stream.until_done()
followed = {"final": final(handler), "retrieved": retrieved(handler.current_run.id, thread.id)}

with client.beta.threads.create_and_run_stream(
    assistant_id=assistant.id,
    thread={"messages": [{"role": "user", "content": "And you?"}]},
    event_handler=EventHandler(),
) as stream:
    deltas = list(stream.text_deltas)
at_once = {"final": final(stream), "retrieved": retrieved(stream.current_run.id, stream.current_run.thread_id)}

with client.beta.threads.create_and_run_stream(assistant_id=assistant.id) as stream:
    names = [event.event for event in stream]

raw = [
    (event.event, event.data.object)
    for event in client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id, stream=True)
]

print(
    json.dumps(
        {
            "events": handler.events,
            "told": handler.told,
            "followed": followed,
            "deltas": deltas,
            "at_once": at_once,
            "names": names,
            "raw": raw,
        }
    )
)
