"""What `assistantd demo` says to the server: the program that somebody wrote against OpenAI's own, unchanged.

Whatever the model makes of it is shown and not judged: the built-in one is a toy. That it calls the function is
forced with `tool_choice`; with what arguments is its own affair.
"""

# The client marks as deprecated everything that this server is for.
# pyright: reportDeprecated=false
import warnings

from openai import AssistantEventHandler, OpenAI
from openai.types.beta import FunctionToolParam
from openai.types.beta.threads import Run, Text, TextDelta
from openai.types.beta.threads.run_submit_tool_outputs_params import ToolOutput
from openai.types.beta.threads.runs import RunStep
from typing_extensions import override

WEATHER: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Today's weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Printer(AssistantEventHandler):
    """Prints a run's events as they come."""

    @override
    def on_run_step_created(self, run_step: RunStep) -> None:
        print(f"  [step: {run_step.type}]", flush=True)

    @override
    def on_text_created(self, text: Text) -> None:
        print("  assistant: ", end="", flush=True)

    @override
    def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        print(delta.value or "", end="", flush=True)

    @override
    def on_text_done(self, text: Text) -> None:
        print(flush=True)


def converse(base_url: str, api_key: str, model: str) -> bool:
    """Hold the conversation and print it; the answer is whether both runs completed. Raises openai.OpenAIError."""
    warnings.simplefilter("ignore", DeprecationWarning)  # the client says so of everything that we are here for
    client = OpenAI(base_url=base_url, api_key=api_key)
    assistant = client.beta.assistants.create(
        model=model, name="Demo", instructions="You are a friendly assistant. Be brief.", tools=[WEATHER]
    )
    thread = client.beta.threads.create()
    print(f"assistant {assistant.id}, thread {thread.id}")
    try:
        first = _ask(client, thread.id, assistant.id, "What is the capital of France?", calls=False)
        second = _ask(client, thread.id, assistant.id, "What is the weather in Paris today?", calls=True)
        messages = client.beta.threads.messages.list(thread.id)
        print(f"\nThe thread now holds {len(messages.data)} messages.")
    finally:
        client.beta.threads.delete(thread.id)
        client.beta.assistants.delete(assistant.id)
    return first.status == second.status == "completed"


def _ask(client: OpenAI, thread_id: str, assistant_id: str, question: str, *, calls: bool) -> Run:
    """One question, one streamed run; a call that the run waits for is answered and streamed on."""
    print(f"\n  user: {question}")
    client.beta.threads.messages.create(thread_id, role="user", content=question)
    with client.beta.threads.runs.stream(
        thread_id=thread_id,
        assistant_id=assistant_id,
        tool_choice={"type": "function", "function": {"name": "get_weather"}} if calls else "none",
        event_handler=Printer(),
    ) as stream:
        run = _final(stream)
    if run.required_action is not None:
        outputs = _answer_calls(run)
        with client.beta.threads.runs.submit_tool_outputs_stream(
            run_id=run.id, thread_id=thread_id, tool_outputs=outputs, event_handler=Printer()
        ) as stream:
            run = _final(stream)
    usage = "" if run.usage is None else f", {run.usage.total_tokens} tokens"
    print(f"  [run {run.id}: {run.status}{usage}]")
    if run.last_error is not None:
        print(f"  [{run.last_error.code}: {run.last_error.message}]")
    return run


def _final(stream: AssistantEventHandler) -> Run:
    """The run as the stream left it."""
    stream.until_done()
    run = stream.current_run
    if run is None:
        raise RuntimeError("the stream ended without a run")
    return run


def _answer_calls(run: Run) -> list[ToolOutput]:
    outputs: list[ToolOutput] = []
    for call in run.required_action.submit_tool_outputs.tool_calls if run.required_action is not None else []:
        print(f"  function call: {call.function.name}({call.function.arguments})")
        outputs.append({"tool_call_id": call.id, "output": "18 degrees, sunny"})
    return outputs
