"""Runs followed to their ends: what a handler put together, and what is stored. Argument: the runs, in JSON."""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types

import json
import sys

from openai import AssistantEventHandler, OpenAI

client = OpenAI()


class EventHandler(AssistantEventHandler):
    def __init__(self):
        super().__init__()
        self.steps = []

    def on_run_step_done(self, run_step):
        self.steps.append(run_step)


def plain(objects):
    return [one.to_dict(mode="json") for one in objects]


def follow(assistant, thread, options):
    handler = EventHandler()
    with client.beta.threads.runs.stream(
        thread_id=thread, assistant_id=assistant, event_handler=handler, **options
    ) as stream:
        stream.until_done()
    run = handler.current_run
    listed = {"thread_id": thread, "order": "asc"}
    return {
        "run": run.to_dict(mode="json"),
        "messages": plain(handler.get_final_messages()) if handler.current_message_snapshot else [],
        "steps": plain(handler.get_final_run_steps()),
        "done": plain(handler.steps),
        "stored": {
            "run": client.beta.threads.runs.retrieve(run.id, thread_id=thread).to_dict(mode="json"),
            "messages": plain(client.beta.threads.messages.list(run_id=run.id, **listed)),
            "steps": plain(client.beta.threads.runs.steps.list(run.id, **listed)),
        },
    }


print(json.dumps([follow(**one) for one in json.loads(sys.argv[1])]))
