"""Runs."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from shared.runs.status import RunStatus
from shared.wire.fields import ReasoningEffort
from shared.wire.shapes.tools import AnyChoice, AnyFormat, AnyTool
from shared.wire.shapes.usage import UsageFacts

ErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]


class LastError(TypedDict):
    """Why a run, or a step, has failed."""

    code: ErrorCode
    message: str


class Usage(TypedDict):
    """Tokens of all requests that were made."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CalledFunction(TypedDict):
    """A function, and its arguments in JSON as far as the model knows JSON."""

    name: str
    arguments: str


class AwaitedCall(TypedDict):
    """A call that the client is to carry out."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class AwaitedOutputs(TypedDict):
    """All calls that outputs are awaited of."""

    tool_calls: list[AwaitedCall]


class RequiredAction(TypedDict):
    """What a run waits for."""

    type: Literal["submit_tool_outputs"]
    submit_tool_outputs: AwaitedOutputs


class CutShort(TypedDict):
    """Which limit ended a run."""

    reason: Literal["max_completion_tokens", "max_prompt_tokens"]


class Truncation(TypedDict):
    """How much of the thread the model gets to see."""

    type: Literal["auto", "last_messages"]
    last_messages: int | None


class AttemptFacts(TypedDict):
    """One worker's time with a run; `ended_at` is null while it has it."""

    worker: str | None
    started_at: int
    ended_at: int | None
    reason: str | None


class Move(TypedDict):
    """One move of a run."""

    at: int
    reason: str
    term: int
    worker: str | None


class RunFacts(TypedDict):
    """What else is known of a run."""

    reason: str
    waiting_for_thread: bool
    attempts: list[AttemptFacts]
    workers_lost: int
    max_attempts: int
    term: int
    worker: str | None
    lease_expires_at: int | None
    cancel_requested_at: int | None
    history: list[Move]
    usage: UsageFacts


class RunObject(TypedDict):
    """A run; `reasoning_effort` is ours, and `assistantd` where it is asked for."""

    id: str
    object: Literal["thread.run"]
    created_at: int
    thread_id: str
    assistant_id: str
    status: RunStatus | Literal["cancelling"]
    required_action: RequiredAction | None
    last_error: LastError | None
    expires_at: int | None
    started_at: int | None
    cancelled_at: int | None
    failed_at: int | None
    completed_at: int | None
    incomplete_details: CutShort | None
    model: str
    instructions: str
    tools: list[AnyTool]
    metadata: dict[str, str]
    usage: Usage | None
    temperature: float
    top_p: float
    reasoning_effort: ReasoningEffort | None
    max_prompt_tokens: int | None
    max_completion_tokens: int | None
    truncation_strategy: Truncation
    tool_choice: AnyChoice
    parallel_tool_calls: bool
    response_format: AnyFormat
    file_ids: NotRequired[list[str]]  # v1
    assistantd: NotRequired[RunFacts]
