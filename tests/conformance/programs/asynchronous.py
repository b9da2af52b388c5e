"""The asynchronous client: poll, follow a stream, call functions, page.

Arguments: a model that answers, one that calls functions.
"""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types

import asyncio
import json
import sys

from openai import AsyncAssistantEventHandler, AsyncOpenAI


class EventHandler(AsyncAssistantEventHandler):
    def __init__(self):
        super().__init__()
        self.texts = []
        self.calls = []
        self.ended = 0

    async def on_text_delta(self, delta, snapshot):
        self.texts.append(delta.value)

    async def on_tool_call_done(self, tool_call):
        self.calls.append((tool_call.function.name, json.loads(tool_call.function.arguments)))

    async def on_end(self):
        self.ended += 1


async def main():
    answering, calling = sys.argv[1:]
    async with AsyncOpenAI() as client:
        runs, messages = client.beta.threads.runs, client.beta.threads.messages
        assistant = await client.beta.assistants.create(model=answering)
        threads = await asyncio.gather(
            *(client.beta.threads.create(messages=[{"role": "user", "content": "Hello?"}]) for _ in range(3))
        )
        polled = await asyncio.gather(
            *(
                runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=20)
                for thread in threads
            )
        )

        handler = EventHandler()
        async with runs.stream(thread_id=threads[0].id, assistant_id=assistant.id, event_handler=handler) as stream:
            await stream.until_done()
        final = await handler.get_final_messages()
        async with client.beta.threads.create_and_run_stream(assistant_id=assistant.id) as stream:
            texts = [text async for text in stream.text_deltas]
        raw = [event.event async for event in await runs.create(threads[1].id, assistant_id=assistant.id, stream=True)]

        caller = await client.beta.assistants.create(
            model=calling, tools=[{"type": "function", "function": {"name": "look"}}]
        )
        caller_handler = EventHandler()
        async with runs.stream(thread_id=threads[2].id, assistant_id=caller.id, event_handler=caller_handler) as stream:
            await stream.until_done()
        waiting = await caller_handler.get_final_run()
        wanted = waiting.required_action.submit_tool_outputs.tool_calls
        second = EventHandler()
        async with runs.submit_tool_outputs_stream(
            run_id=waiting.id,
            thread_id=threads[2].id,
            tool_outputs=[{"tool_call_id": call.id, "output": "seen"} for call in wanted],
            event_handler=second,
        ) as stream:
            await stream.until_done()
        done = await second.get_final_run()

        pages = [message.id async for message in messages.list(threads[0].id, limit=1)]
        print(
            json.dumps(
                {
                    "polled": [run.status for run in polled],
                    "texts": handler.texts,
                    "ended": handler.ended,
                    "final": [message.to_dict(mode="json") for message in final],
                    "newest": (await messages.retrieve(final[0].id, thread_id=threads[0].id)).to_dict(mode="json"),
                    "at once": texts,
                    "raw": raw,
                    "calls": caller_handler.calls,
                    "done": done.status,
                    "said": second.texts,
                    "pages": pages,
                }
            )
        )


asyncio.run(main())
