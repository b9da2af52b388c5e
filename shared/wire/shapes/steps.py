"""Run steps."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from shared.runs.status import StepStatus
from shared.wire.shapes.runs import CalledFunction, LastError, Usage


class MadeMessage(TypedDict):
    """Which message."""

    message_id: str


class MessageCreation(TypedDict):
    """The step made a message."""

    type: Literal["message_creation"]
    message_creation: MadeMessage


class AnsweredFunction(CalledFunction):
    """A function with what it returned; null until that is submitted."""

    output: str | None


class FunctionCall(TypedDict):
    """A call of a function."""

    id: str
    type: Literal["function"]
    function: AnsweredFunction


class Logs(TypedDict):
    """What code printed."""

    type: Literal["logs"]
    logs: str


class ShownImage(TypedDict):
    """Which file."""

    file_id: str


class Image(TypedDict):
    """What code showed."""

    type: Literal["image"]
    image: ShownImage


class Code(TypedDict):
    """Code, and what came of it."""

    input: str
    outputs: list[Logs | Image]


class CodeCall(TypedDict):
    """A call of code_interpreter."""

    id: str
    type: Literal["code_interpreter"]
    code_interpreter: Code


class FoundText(TypedDict):
    """A text that was found."""

    type: Literal["text"]
    text: str


class Found(TypedDict):
    """A result of a search; its content where `include[]` asks for it."""

    file_id: str
    file_name: str
    score: float
    content: NotRequired[list[FoundText]]


class Ranking(TypedDict):
    """How results were ranked and cut."""

    ranker: Literal["auto", "default_2024_08_21"]
    score_threshold: float


class Searched(TypedDict):
    """What came of a search; nothing until it is done."""

    ranking_options: NotRequired[Ranking]
    results: NotRequired[list[Found]]


class SearchCall(TypedDict):
    """A call of file_search."""

    id: str
    type: Literal["file_search"]
    file_search: Searched


class Nothing(TypedDict):
    """An empty object."""


class RetrievalCall(TypedDict):
    """The same in v1, which shows nothing of it."""

    id: str
    type: Literal["retrieval"]
    retrieval: Nothing


Call = FunctionCall | CodeCall | SearchCall | RetrievalCall


class ToolCalls(TypedDict):
    """The step called tools."""

    type: Literal["tool_calls"]
    tool_calls: list[Call]


class RunStepObject(TypedDict):
    """One thing that a run did."""

    id: str
    object: Literal["thread.run.step"]
    created_at: int
    run_id: str
    assistant_id: str
    thread_id: str
    type: Literal["message_creation", "tool_calls"]
    status: StepStatus
    expires_at: int | None
    cancelled_at: int | None
    completed_at: int | None
    expired_at: int | None
    failed_at: int | None
    last_error: LastError | None
    step_details: MessageCreation | ToolCalls
    usage: Usage | None
    metadata: dict[str, str]
