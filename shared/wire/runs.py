"""Runs and run steps on the wire."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.errors import InvalidRequest
from shared.runs.status import RunStatus
from shared.usage.prices import Item
from shared.wire import limits
from shared.wire.assistants import Model
from shared.wire.fields import (
    AssistantIdentifier,
    Body,
    Dialect,
    FunctionChoice,
    Metadata,
    ReasoningEffort,
    ResponseFormat,
    Temperature,
    Tool,
    ToolChoice,
    ToolResources,
    ToolTypeChoice,
    TopP,
    names_apart,
    shown_tools,
    stored_format,
    stored_tools,
)
from shared.wire.objects import seconds
from shared.wire.shapes.runs import AttemptFacts, Move, RequiredAction, RunFacts, RunObject
from shared.wire.threads import CreateMessage, CreateThread
from shared.wire.usage import usage_facts

TokenBudget = Annotated[int, Field(ge=limits.TOKEN_BUDGET, le=limits.INTEGER)]


class TruncationStrategy(Body):
    """How much of the thread the model gets to see."""

    type: Literal["auto", "last_messages"]
    last_messages: Annotated[int, Field(ge=1, le=limits.INTEGER)] | None = None

    @model_validator(mode="after")
    def _number_where_needed(self) -> "TruncationStrategy":
        if (self.type == "last_messages") != (self.last_messages is not None):
            raise PydanticCustomError(
                "invalid_value", "'last_messages' has to be given with type 'last_messages', and only with it."
            )
        return self


class _Run(Body):
    assistant_id: AssistantIdentifier
    model: Model | None = None
    instructions: Annotated[str, StringConstraints(max_length=limits.INSTRUCTIONS)] | None = None
    tools: (
        Annotated[list[Tool], Field(max_length=limits.RUN_TOOLS, fail_fast=True), AfterValidator(names_apart)] | None
    ) = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None
    truncation_strategy: TruncationStrategy | None = None
    max_prompt_tokens: TokenBudget | None = None
    max_completion_tokens: TokenBudget | None = None
    metadata: Metadata | None = None
    stream: bool | None = None

    def forces_a_call(self) -> bool:
        """Is a tool to be called, so that it has to be there?"""
        return self.tool_choice not in (None, "none", "auto")

    def require_choice(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """Raises InvalidRequest where the tool that is to be called is none of `tools`."""
        match self.tool_choice:
            case FunctionChoice(function=wanted):
                there = any(tool["type"] == "function" and tool["function"]["name"] == wanted.name for tool in tools)
                lacking = f"the function '{wanted.name}'"
            case ToolTypeChoice(type=kind):
                there, lacking = any(tool["type"] == kind for tool in tools), f"the tool '{kind}'"
            case _:
                there, lacking = bool(tools), "any tool"
        if not there:
            message = f"Invalid 'tool_choice': the run does not have {lacking}."
            raise InvalidRequest(message, param="tool_choice", code="invalid_value")

    def params(self) -> dict[str, Any]:
        """Parameters of the statements that insert a run; None leaves the choice to the assistant."""
        choice, strategy = self.tool_choice, self.truncation_strategy
        return {
            "assistant_id": self.assistant_id,
            "model": self.model,
            "instructions": self.instructions,
            "additional": None,
            "tools": None if self.tools is None else stored_tools(self.tools),
            "tool_choice": choice.plain() if isinstance(choice, Body) else choice or "auto",
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "reasoning_effort": None,
            "response_format": stored_format(self.response_format),
            "truncation_strategy": {
                "type": strategy.type if strategy else "auto",
                "last_messages": strategy.last_messages if strategy else None,
            },
            "max_prompt_tokens": self.max_prompt_tokens,
            "max_completion_tokens": self.max_completion_tokens,
            "include_contents": False,
            "metadata": self.metadata or {},
        }


class RunRetry(Body):
    """How often a run is tried again; what is left out is decided by the server's settings."""

    worker_attempts: Annotated[int, Field(ge=1, le=limits.ATTEMPTS)] | None = None  # workers that may die over it
    model_attempts: Annotated[int, Field(ge=1, le=limits.ATTEMPTS)] | None = None  # until the first word of an answer
    pause: Annotated[float, Field(ge=0, le=limits.RETRY_PAUSE_SECONDS, strict=False)] | None = None  # seconds; doubles


class NewRunExtension(Body):
    """What a run can be told beyond the original."""

    expires_after: Annotated[int, Field(ge=1, le=limits.RUN_EXPIRY_SECONDS)] | None = None
    retry: RunRetry | None = None

    def params(self) -> dict[str, Any]:
        """Parameters of the statements that insert a run; None leaves the choice to the server's settings."""
        retry = self.retry or RunRetry()
        told = {"attempts": retry.model_attempts, "pause": retry.pause}
        return {
            "expires_after": None if self.expires_after is None else timedelta(seconds=self.expires_after),
            "max_attempts": retry.worker_attempts,
            "model_retry": {name: value for name, value in told.items() if value is not None} or None,
        }


class RunExtension(NewRunExtension):
    """Likewise, on a thread that exists."""

    when_busy: Literal["reject", "enqueue", "cancel_active"] = "reject"


class CreateRun(_Run):
    """POST /threads/{thread_id}/runs."""

    assistantd: RunExtension | None = None

    additional_instructions: Annotated[str, StringConstraints(max_length=limits.INSTRUCTIONS)] | None = None
    additional_messages: (
        Annotated[list[CreateMessage], Field(max_length=limits.MESSAGES_AT_ONCE, fail_fast=True)] | None
    ) = None
    reasoning_effort: ReasoningEffort | None = None

    def params(self) -> dict[str, Any]:
        """Parameters of the statement that inserts the run and the messages before it."""
        return {
            **super().params(),
            **(self.assistantd or RunExtension()).params(),
            "additional": self.additional_instructions,
            "reasoning_effort": self.reasoning_effort,
            "messages": [message.record() for message in self.additional_messages or []],
        }

    def referred_files(self) -> list[str]:
        """Files that have to exist."""
        return [f for message in self.additional_messages or [] for f in message.referred_files()]

    def searched_files(self) -> list[str]:
        """Files that come with messages and that file_search is to find."""
        return [f for message in self.additional_messages or [] for f in message.searched_files()]


class CreateThreadAndRun(_Run):
    """POST /threads/runs."""

    assistantd: NewRunExtension | None = None

    thread: CreateThread | None = None
    tool_resources: ToolResources | None = None

    def params(self) -> dict[str, Any]:
        """Parameters of the statement that inserts the thread, its messages and the run."""
        extension = (self.assistantd or NewRunExtension()).params()
        params = {**super().params(), **extension, **(self.thread or CreateThread()).params()}
        if self.tool_resources is not None:
            params["tool_resources"] |= self.tool_resources.plain()
        return params

    def resources(self) -> list[ToolResources | None]:
        """What the thread's tools work with, wherever it was said."""
        return [self.thread.tool_resources if self.thread else None, self.tool_resources]

    def referred_files(self) -> list[str]:
        """Files that have to exist."""
        resources = self.tool_resources.file_ids() if self.tool_resources else []
        return [*resources, *(self.thread.referred_files() if self.thread else [])]


class ToolOutput(Body):
    """What a function returned."""

    tool_call_id: str
    output: str | None = None


class SubmitToolOutputs(Body):
    """POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs: all outputs at once."""

    tool_outputs: Annotated[list[ToolOutput], Field(max_length=limits.TOOL_OUTPUTS, fail_fast=True)]
    stream: bool | None = None

    @model_validator(mode="after")
    def _bounded(self) -> "SubmitToolOutputs":
        length = sum(len(output.output or "") for output in self.tool_outputs)
        if length > limits.TOOL_OUTPUT:
            raise PydanticCustomError(
                "string_above_max_length",
                "'tool_outputs' may have at most {limit} characters together, but have {length}.",
                {"limit": limits.TOOL_OUTPUT, "length": length},
            )
        if len({output.tool_call_id for output in self.tool_outputs}) < len(self.tool_outputs):
            raise PydanticCustomError("invalid_value", "'tool_outputs' may have one output a call, but have several.")
        return self

    def outputs(self) -> dict[str, str]:
        """Output by call; an absent output is an empty one."""
        return {output.tool_call_id: output.output or "" for output in self.tool_outputs}


def run_object(row: Mapping[str, Any], dialect: Dialect) -> RunObject:
    """A row of `runs` as an OpenAI object. `usage` is null until the end, `cancelling` is shown and never stored."""
    status, finished_at = row["status"], seconds(row["finished_at"])
    cancelling = status == RunStatus.IN_PROGRESS and row["cancel_requested_at"] is not None
    shown: RunObject = {
        "id": row["id"],
        "object": "thread.run",
        "created_at": seconds(row["created_at"]),
        "thread_id": row["thread_id"],
        "assistant_id": row["assistant_id"],
        "status": "cancelling" if cancelling else status,
        "required_action": required_action(row["required_action"]),
        "last_error": row["last_error"],
        "expires_at": None if finished_at else seconds(row["expires_at"]),
        "started_at": seconds(row["started_at"]),
        "cancelled_at": finished_at if status == RunStatus.CANCELLED else None,
        "failed_at": finished_at if status == RunStatus.FAILED else None,
        "completed_at": finished_at if status in (RunStatus.COMPLETED, RunStatus.INCOMPLETE) else None,
        "incomplete_details": row["incomplete_details"],
        "model": row["model"],
        "instructions": row["instructions"],
        "tools": shown_tools(row["tools"], dialect),
        "metadata": row["metadata"],
        "usage": row["usage"] if finished_at else None,
        "temperature": 1.0 if row["temperature"] is None else row["temperature"],
        "top_p": 1.0 if row["top_p"] is None else row["top_p"],
        "reasoning_effort": row["reasoning_effort"],
        "max_prompt_tokens": row["max_prompt_tokens"],
        "max_completion_tokens": row["max_completion_tokens"],
        "truncation_strategy": row["truncation_strategy"],
        "tool_choice": row["tool_choice"],
        "parallel_tool_calls": row["parallel_tool_calls"],
        "response_format": "auto" if row["response_format"] is None else row["response_format"],
    }
    if dialect == "v1":
        shown["file_ids"] = row["file_ids"]
    return shown


def run_facts(row: Mapping[str, Any], used: Sequence[Item]) -> RunFacts:
    """What else is known of a run, for whoever asks why it is as it is: ours, beyond the original."""
    history: list[Move] = [
        {
            "at": seconds(datetime.fromisoformat(move["at"])),
            "reason": move["reason"],
            "term": move["term"],
            "worker": move["worker"],
        }
        for move in row["history"]
    ]
    return {
        "reason": row["reason"],
        "waiting_for_thread": row["waiting"],
        "attempts": _attempts(history),
        "workers_lost": row["attempts"],
        "max_attempts": row["max_attempts"],
        "term": row["term"],
        "worker": row["lease_owner"],
        "lease_expires_at": seconds(row["lease_expires_at"]),
        "cancel_requested_at": seconds(row["cancel_requested_at"]),
        "history": history,
        "usage": usage_facts(used),
    }


def _attempts(history: Sequence[Move]) -> list[AttemptFacts]:
    """Who worked on the run, from when to when, and why that ended; `ended_at` is null for whoever still does."""
    attempts: list[AttemptFacts] = []
    for move in history:
        if move["reason"] == "claimed":
            attempts.append({"worker": move["worker"], "started_at": move["at"], "ended_at": None, "reason": None})
        elif attempts and attempts[-1]["ended_at"] is None:
            attempts[-1]["ended_at"], attempts[-1]["reason"] = move["at"], move["reason"]
    return attempts


def required_action(stored: Mapping[str, Any] | None) -> RequiredAction | None:
    """The calls that a run waits for."""
    if stored is None:
        return None
    return {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": stored["tool_calls"]}}
