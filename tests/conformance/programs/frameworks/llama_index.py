"""LlamaIndex's agent around an assistant, with a function that it calls. Argument: the model."""

# pyright: basic, reportMissingImports=false

import json
import sys

from llama_index.agent.openai import OpenAIAssistantAgent
from llama_index.core.tools import FunctionTool

seen = []


def get_weather(city: str) -> str:
    """The weather in a city."""
    seen.append(city)
    return "rain"


agent = OpenAIAssistantAgent.from_new(
    name="Weather",
    instructions="Be brief.",
    tools=[FunctionTool.from_defaults(get_weather)],
    model=sys.argv[1],
    run_retrieve_sleep_time=0.02,
)
answers = [str(agent.chat(words)) for words in ("How is the weather in Oslo?", "Thanks.")]

print(json.dumps({"seen": seen, "said": answers, "messages": len(agent.chat_history)}))
