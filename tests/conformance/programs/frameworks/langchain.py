"""LangChain's runnable around an assistant, with a function that it calls. Argument: the model."""

# pyright: basic, reportMissingImports=false

import json
import sys

from langchain_community.agents.openai_assistant import OpenAIAssistantV2Runnable
from langchain_core.agents import AgentFinish
from langchain_core.tools import tool

seen = []


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    seen.append(city)
    return "rain"


agent = OpenAIAssistantV2Runnable.create_assistant(
    name="Weather", instructions="Be brief.", tools=[get_weather], model=sys.argv[1], as_agent=True
)
agent.check_every_ms = 20
answer = agent.invoke({"content": "How is the weather in Oslo?"})
while not isinstance(answer, AgentFinish):
    outputs = [{"tool_call_id": act.tool_call_id, "output": get_weather.invoke(act.tool_input)} for act in answer]
    answer = agent.invoke({"tool_outputs": outputs, "run_id": answer[0].run_id, "thread_id": answer[0].thread_id})

again = agent.invoke({"content": "Thanks.", "thread_id": answer.return_values["thread_id"]})

print(json.dumps({"seen": seen, "said": [answer.return_values["output"], again.return_values["output"]]}))
