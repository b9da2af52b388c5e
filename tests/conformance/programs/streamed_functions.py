"""Functions in streams: the handler of the first stream submits the outputs and follows the second. Argument: a model.

The shape of the handler is that of OpenAI's guide to function calling with streaming.
"""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types

import json
import sys

from openai import AssistantEventHandler, OpenAI

client = OpenAI()
(model,) = sys.argv[1:]

rounds = []


class EventHandler(AssistantEventHandler):
    def __init__(self):
        super().__init__()
        self.told = []
        self.events = []
        self.texts = []
        self.steps = []

    def on_event(self, event):
        self.events.append(event.event)
        if event.event == "thread.run.requires_action":
            self.handle_requires_action(event.data)

    def on_tool_call_created(self, tool_call):
        self.told.append(["created", tool_call.id, tool_call.function.name])

    def on_tool_call_delta(self, delta, snapshot):
        assert delta.function is not None
        self.told.append(["delta", snapshot.id, delta.function.arguments, snapshot.function.arguments])

    def on_tool_call_done(self, tool_call):
        self.told.append(["done", tool_call.id, tool_call.function.arguments])

    def on_run_step_delta(self, delta, snapshot):
        self.told.append(["step_delta", snapshot.type, len(delta.step_details.tool_calls)])

    def on_run_step_done(self, run_step):
        self.steps.append(run_step)

    def on_text_done(self, text):
        self.texts.append(text.value)

    def handle_requires_action(self, data):
        calls = data.required_action.submit_tool_outputs.tool_calls
        outputs = [{"tool_call_id": tool.id, "output": f"output {n}"} for n, tool in enumerate(calls)]
        rounds.append(
            {
                "told": self.told,
                "events": self.events,
                "required": [(tool.id, tool.function.name, tool.function.arguments) for tool in calls],
                "text": self.texts,
                "snapshot": self.current_run_step_snapshot.to_dict(mode="json"),
                "retrieved": client.beta.threads.runs.steps.retrieve(
                    self.current_run_step_snapshot.id, run_id=data.id, thread_id=data.thread_id
                ).to_dict(mode="json"),
            }
        )
        self.submit_tool_outputs(outputs)

    def submit_tool_outputs(self, tool_outputs):
        follower = EventHandler()
        with client.beta.threads.runs.submit_tool_outputs_stream(
            thread_id=self.current_run.thread_id,
            run_id=self.current_run.id,
            tool_outputs=tool_outputs,
            event_handler=follower,
        ) as stream:
            stream.until_done()
        if stream.current_run.status == "completed":
            rounds.append(
                {
                    "events": follower.events,
                    "text": follower.texts,
                    "steps": [step.to_dict(mode="json") for step in follower.steps],
                    "messages": [message.to_dict(mode="json") for message in follower.get_final_messages()],
                    "run": follower.get_final_run().to_dict(mode="json"),
                }
            )


assistant = client.beta.assistants.create(
    model=model,
    tools=[
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        }
    ],
)
thread = client.beta.threads.create(messages=[{"role": "user", "content": "What's the weather?"}])
with client.beta.threads.runs.stream(
    thread_id=thread.id, assistant_id=assistant.id, event_handler=EventHandler()
) as first:
    first.until_done()

run = client.beta.threads.runs.retrieve(first.current_run.id, thread_id=thread.id)
print(
    json.dumps(
        {
            "rounds": rounds,
            "run": run.to_dict(mode="json"),
            "steps": [
                step.to_dict(mode="json")
                for step in client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc")
            ],
            "messages": [
                message.to_dict(mode="json")
                for message in client.beta.threads.messages.list(thread.id, run_id=run.id, order="asc")
            ],
        }
    )
)
