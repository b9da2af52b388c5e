"""Semantic Kernel's agent around an assistant, with a plugin that it calls. Argument: the model."""

# pyright: basic, reportMissingImports=false

import asyncio
import json
import sys

from openai import AsyncOpenAI
from semantic_kernel.agents import OpenAIAssistantAgent
from semantic_kernel.functions import kernel_function

seen = []


class Weather:
    """A plugin."""

    @kernel_function
    def get_weather(self, city: str) -> str:
        """The weather in a city."""
        seen.append(city)
        return "rain"


async def main():
    client = AsyncOpenAI()
    definition = await client.beta.assistants.create(model=sys.argv[1], name="Weather", instructions="Be brief.")
    agent = OpenAIAssistantAgent(client=client, definition=definition, plugins=[Weather()])
    first = await agent.get_response(messages="How is the weather in Oslo?")
    pieces = [str(piece.message) async for piece in agent.invoke_stream(messages="And in Bonn?", thread=first.thread)]
    await first.thread.delete()
    print(json.dumps({"seen": seen, "said": [str(first.message), "".join(pieces)]}))


asyncio.run(main())
