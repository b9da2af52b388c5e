"""What `assistantd demo` says to the server: the program that somebody wrote against OpenAI's own, unchanged.

Whatever the model makes of it is shown and not judged: the built-in one is a toy. That it calls the function, and
searches the file, is forced with `tool_choice`; with what arguments is its own affair.
"""

# The client marks as deprecated everything that this server is for.
# pyright: reportDeprecated=false
import warnings
from typing import TYPE_CHECKING

from openai import AssistantEventHandler, OpenAI
from openai.types.beta import AssistantToolChoiceOptionParam, FunctionToolParam
from openai.types.beta.threads import Run, Text, TextDelta
from openai.types.beta.threads.run_submit_tool_outputs_params import ToolOutput
from openai.types.beta.threads.runs import RunStep, RunStepInclude
from typing_extensions import override

if TYPE_CHECKING:
    from openai.types.beta.threads.message_create_params import Attachment

WEATHER: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Today's weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

WEATHER_CHOICE: AssistantToolChoiceOptionParam = {"type": "function", "function": {"name": "get_weather"}}
ENDS = ("completed", "incomplete")  # a toy that rambles is stopped, which is no fault of the server
SHOP = "Goods may be sent back within thirty days for a full refund. The shop is closed on public holidays."
RESULTS: RunStepInclude = "step_details.tool_calls[*].file_search.results[*].content"


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
    """Hold the conversation and print it; the answer is whether each run came to an end of its own.

    Raises openai.OpenAIError.
    """
    warnings.simplefilter("ignore", DeprecationWarning)  # the client says so of everything that we are here for
    client = OpenAI(base_url=base_url, api_key=api_key)
    assistant = client.beta.assistants.create(
        model=model,
        name="Demo",
        instructions="You are a friendly assistant. Be brief.",
        tools=[WEATHER, {"type": "file_search"}],
    )
    thread = client.beta.threads.create()
    file = client.files.create(file=("shop.txt", SHOP.encode()), purpose="assistants")
    print(f"assistant {assistant.id}, thread {thread.id}")
    try:
        talk = _Talk(client, thread.id, assistant.id)
        runs = [
            talk.ask("What is the capital of France?", "none"),
            talk.ask("What is the weather in Paris today?", WEATHER_CHOICE),
            talk.ask("How do I get my money back?", {"type": "file_search"}, file.id),
        ]
        talk.show_what_was_found(runs[-1])
        messages = client.beta.threads.messages.list(thread.id)
        print(f"\nThe thread now holds {len(messages.data)} messages.")
    finally:
        client.beta.threads.delete(thread.id)
        client.beta.assistants.delete(assistant.id)
        client.files.delete(file.id)
    return all(run.status in ENDS for run in runs)


class _Talk:
    """Questions and answers in one thread."""

    def __init__(self, client: OpenAI, thread_id: str, assistant_id: str) -> None:
        self._client = client
        self._thread_id = thread_id
        self._assistant_id = assistant_id

    def ask(self, question: str, choice: AssistantToolChoiceOptionParam, file_id: str | None = None) -> Run:
        """One question, one streamed run; a call that the run waits for is answered and streamed on."""
        print(f"\n  user: {question}{'' if file_id is None else '  [with shop.txt]'}")
        attached: list[Attachment] = []
        if file_id is not None:
            attached.append({"file_id": file_id, "tools": [{"type": "file_search"}]})
        threads = self._client.beta.threads
        threads.messages.create(self._thread_id, role="user", content=question, attachments=attached)
        with threads.runs.stream(
            thread_id=self._thread_id,
            assistant_id=self._assistant_id,
            tool_choice=choice,
            event_handler=Printer(),
        ) as stream:
            run = _final(stream)
        if run.required_action is not None:
            outputs = _answer_calls(run)
            with threads.runs.submit_tool_outputs_stream(
                run_id=run.id, thread_id=self._thread_id, tool_outputs=outputs, event_handler=Printer()
            ) as stream:
                run = _final(stream)
        usage = "" if run.usage is None else f", {run.usage.total_tokens} tokens"
        print(f"  [run {run.id}: {run.status}{usage}]")
        if run.last_error is not None:
            print(f"  [{run.last_error.code}: {run.last_error.message}]")
        return run

    def show_what_was_found(self, run: Run) -> None:
        """The results of the run's searches."""
        steps = self._client.beta.threads.runs.steps.list(run.id, thread_id=self._thread_id, include=[RESULTS])
        for step in steps:
            for call in step.step_details.tool_calls if step.step_details.type == "tool_calls" else []:
                for hit in (call.file_search.results or []) if call.type == "file_search" else []:
                    text = hit.content[0].text if hit.content else None
                    print(f"  [found in {hit.file_name}, score {hit.score:.2f}: {text}]")


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
