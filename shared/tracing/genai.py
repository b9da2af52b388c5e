"""The words of OpenTelemetry's semantic conventions for generative AI, version 1.41.0, and the spans that have them.

https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai: the last version before they moved to a
repository of their own. They are in development, and change: whoever raises the version does it here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shared.tracing.spans import ERROR, NOTHING, PROJECT, RUN, STATE, TERM, THREAD, Attributes, Span

SCHEMA = "https://opentelemetry.io/schemas/1.41.0"

AGENT_ID = "gen_ai.agent.id"
CONVERSATION_ID = "gen_ai.conversation.id"
DATA_SOURCE_ID = "gen_ai.data_source.id"
EMBEDDINGS_DIMENSIONS = "gen_ai.embeddings.dimension.count"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_MESSAGES = "gen_ai.input.messages"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
MAX_TOKENS = "gen_ai.request.max_tokens"
OPERATION = "gen_ai.operation.name"
OUTPUT_MESSAGES = "gen_ai.output.messages"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
PROVIDER = "gen_ai.provider.name"
QUERY_TEXT = "gen_ai.retrieval.query.text"
REQUEST_MODEL = "gen_ai.request.model"
STREAM = "gen_ai.request.stream"
TEMPERATURE = "gen_ai.request.temperature"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
TOOL_NAME = "gen_ai.tool.name"
TOOL_RESULT = "gen_ai.tool.call.result"
TOOL_TYPE = "gen_ai.tool.type"
TOP_P = "gen_ai.request.top_p"

OPENAI = "openai"
"""The provider, by the protocol that its client speaks: the conventions say so of whatever speaks OpenAI's."""

_TOOL_TYPES = {"file_search": "datastore", "code_interpreter": "extension"}


def attempt(run: Mapping[str, Any], began_ns: int) -> Span:
    """One worker's part in a run, in the trace of the request that created it."""
    if STATE.tracing is None:
        return NOTHING
    attributes = {
        OPERATION: "invoke_agent",
        PROVIDER: OPENAI,
        AGENT_ID: run["assistant_id"],
        CONVERSATION_ID: run["thread_id"],
        REQUEST_MODEL: run["model"],
        PROJECT: run["project_id"],
        THREAD: run["thread_id"],
        RUN: run["id"],
        TERM: run["term"],
        "assistantd.workers_lost": run["attempts"],
    }
    return STATE.tracing.resumed("invoke_agent", run["traceparent"], began_ns, attributes)


def settled(span: Span, run: Mapping[str, Any] | None) -> None:
    """How the worker left the run; None where it has passed on. A run that failed is an error, by its code."""
    if STATE.tracing is None:
        return
    if run is None:
        span.set({"assistantd.status": "passed_on"})
        return
    usage = run["usage"] or {}
    span.set(
        {
            "assistantd.status": run["status"],
            "assistantd.reason": run["reason"],
            INPUT_TOKENS: usage.get("prompt_tokens"),
            OUTPUT_TOKENS: usage.get("completion_tokens"),
        }
    )
    if run["last_error"]:
        span.set({ERROR: run["last_error"]["code"]})


def chat(run: Mapping[str, Any], request: Mapping[str, Any]) -> Span:
    """One turn of the model, its retries included."""
    if STATE.tracing is None:
        return NOTHING
    attributes = {
        OPERATION: "chat",
        PROVIDER: OPENAI,
        REQUEST_MODEL: request["model"],
        CONVERSATION_ID: run["thread_id"],
        RUN: run["id"],
        STREAM: True,
        MAX_TOKENS: request.get("max_completion_tokens", request.get("max_tokens")),
        TEMPERATURE: request.get("temperature"),
        TOP_P: request.get("top_p"),
        **_asked(request),
    }
    return STATE.tracing.span(f"chat {request['model']}", "client", attributes)


def answered(span: Span, text: str, calls: Sequence[Any], finish: str | None, usage: Mapping[str, int] | None) -> None:
    """What the model said: how it ended and what it cost, and, if content is wanted, itself."""
    if STATE.tracing is None:
        return
    told: dict[str, Any] = {FINISH_REASONS: None if finish is None else [finish]}
    if usage is not None:
        told |= {INPUT_TOKENS: usage["prompt_tokens"], OUTPUT_TOKENS: usage["completion_tokens"]}
    if STATE.tracing.content:
        parts: list[dict[str, Any]] = [{"type": "text", "content": text}] if text else []
        parts += [
            {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments} for call in calls
        ]
        told[OUTPUT_MESSAGES] = _json([{"role": "assistant", "parts": parts, "finish_reason": finish or "stop"}])
    span.set(told)


def tool(name: str, call_id: str, arguments: str) -> Span:
    """One call of a tool that is ours to carry out."""
    if STATE.tracing is None:
        return NOTHING
    attributes = {
        OPERATION: "execute_tool",
        TOOL_NAME: name,
        TOOL_TYPE: _TOOL_TYPES[name],
        TOOL_CALL_ID: call_id,
        TOOL_ARGUMENTS: arguments if STATE.tracing.content else None,
    }
    return STATE.tracing.span(f"execute_tool {name}", "internal", attributes)


def tool_answered(span: Span, result: Any) -> None:
    """What came of it, if content is wanted."""
    if STATE.tracing is not None and STATE.tracing.content:
        span.set({TOOL_RESULT: _json(result)})


def retrieval(store_ids: Sequence[str], queries: Sequence[str]) -> Span:
    """A search in vector stores."""
    if STATE.tracing is None:
        return NOTHING
    only = store_ids[0] if len(store_ids) == 1 else None
    attributes = {
        OPERATION: "retrieval",
        DATA_SOURCE_ID: only,
        "assistantd.vector_store_ids": list(store_ids),
        "assistantd.queries": len(queries),
        QUERY_TEXT: "\n".join(queries) if STATE.tracing.content else None,
    }
    return STATE.tracing.span(f"retrieval {only}" if only else "retrieval", "internal", attributes)


def embeddings(model: str, texts: int) -> Span:
    """A request for vectors within another span; those that are made anew in the background have none."""
    if STATE.tracing is None or STATE.tracing.current() is None:
        return NOTHING
    attributes = {OPERATION: "embeddings", PROVIDER: OPENAI, REQUEST_MODEL: model, "assistantd.texts": texts}
    return STATE.tracing.span(f"embeddings {model}", "client", attributes)


def _asked(request: Mapping[str, Any]) -> Attributes:
    """What the model is told, if content is wanted."""
    if STATE.tracing is None or not STATE.tracing.content:
        return {}
    messages = [{"role": one["role"], "parts": list(_parts(one))} for one in request["messages"]]
    return {INPUT_MESSAGES: _json(messages), TOOL_DEFINITIONS: _json(request.get("tools", []))}


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if message["role"] == "tool":
        return [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}]
    given: list[Any] = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    parts = [
        {"type": "text", "content": part["text"]} if part["type"] == "text" else {"type": part["type"]}
        for part in given
    ]
    calls = message.get("tool_calls") or []
    return parts + [{"type": "tool_call", "id": call["id"], **call["function"]} for call in calls]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
