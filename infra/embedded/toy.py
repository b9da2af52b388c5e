"""What the toy model needs to look like a grown-up one: pure translation of chat requests and answers, no I/O.

Asked natively, a model of 135 million parameters never calls a tool. Forced by a grammar (`response_format` with a
JSON schema) to write `{"name": …, "arguments": …}` it always does, though rarely a clever one. So a request that
offers tools becomes one with a schema, and the JSON that comes back becomes `tool_calls`.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

NAME = "smollm2-135m"
CONTEXT_TOKENS = 3000  # of a request: it reads some 270 a second, and has forgotten the beginning by the end
MAX_TOKENS = 256  # it rambles
MAX_TEMPERATURE = 0.2  # at 1, the default of the API, it dreams
MAX_STRING = 80  # characters of one string argument; without a limit it fills all of MAX_TOKENS
MAX_REPLY = 400  # characters of an answer that is not a call
MAX_ITEMS = 2  # so that what a search is asked for fits, whatever it rambles

Json = dict[str, Any]

_PASSED_ON = ("temperature", "top_p", "stop", "seed", "response_format", "frequency_penalty", "presence_penalty")
_UNSUPPORTED = ("pattern", "format", "default", "examples")  # by llama.cpp's grammars, or of no use to them


def wants_call(body: Mapping[str, Any]) -> bool:
    """Whether the next answer may be a call: tools are offered, and the last word is not already a tool's."""
    messages: Sequence[Mapping[str, Any]] = body.get("messages") or [{}]
    return bool(body.get("tools")) and body.get("tool_choice") != "none" and messages[-1].get("role") != "tool"


def to_native(body: Mapping[str, Any]) -> Json:
    """The request as llama.cpp's server gets it. Unknown fields are dropped; the answer's length is capped."""
    asked = body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS
    native: Json = {name: body[name] for name in _PASSED_ON if body.get(name) is not None}
    native |= {
        "model": NAME,
        "messages": [_plain(message) for message in body.get("messages") or []],
        "max_tokens": min(int(asked), MAX_TOKENS),
        "repeat_penalty": 1.1,
        "temperature": min(native.get("temperature", MAX_TEMPERATURE), MAX_TEMPERATURE),
    }
    if wants_call(body):
        tools = _offered(body)
        native["messages"] = [{"role": "system", "content": _instructions(tools)}, *native["messages"]]
        native["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "call", "schema": _call_schema(tools, must=_must_call(body))},
        }
    elif body.get("stream"):
        native |= {"stream": True, "stream_options": body.get("stream_options")}
    return native


def from_native(answer: Json) -> Json:
    """The answer to a request with a schema: its JSON turned into a tool call or, as the model chose, into a reply.

    JSON that was cut off at the token limit stays text, with the `finish_reason` that says so.
    """
    choice = answer["choices"][0]
    text = choice["message"].get("content") or ""
    message: Json = {"role": "assistant", "content": text}
    try:
        written = json.loads(text)
    except ValueError:
        return {**answer, "choices": [{**choice, "message": message}]}
    if "reply" in written:
        message["content"] = written["reply"]
        return {**answer, "choices": [{**choice, "message": message}]}
    function = {"name": written["name"], "arguments": json.dumps(written["arguments"])}
    call = {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
    message |= {"content": None, "tool_calls": [call]}
    return {**answer, "choices": [{**choice, "message": message, "finish_reason": "tool_calls"}]}


def to_chunks(answer: Json, *, include_usage: bool) -> list[Json]:
    """A whole answer as the chunks of a stream: its words or its call at once, why it ended, what it cost."""
    choice = answer["choices"][0]
    message = choice["message"]
    delta: Json = {"role": "assistant", "content": message["content"]}
    if "tool_calls" in message:
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(message["tool_calls"])]
    head = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    chunks: list[Json] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]},
    ]
    if include_usage:
        chunks.append({**head, "choices": [], "usage": answer.get("usage")})
    return chunks


def _plain(message: Mapping[str, Any]) -> Json:
    """A message in the three roles and one kind of content that the toy was trained on."""
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "\n".join(part.get("text", "") for part in content)
    if message.get("role") == "tool":
        return {"role": "user", "content": f"The function answered: {content}\nNow answer me in one sentence."}
    calls: list[Json] = [call["function"] for call in message.get("tool_calls") or []]
    said = [content, *(f"I call {call['name']} with {call['arguments']}." for call in calls)]
    role = "system" if message.get("role") == "developer" else message.get("role")
    return {"role": role, "content": "\n".join(line for line in said if line)}


def _offered(body: Mapping[str, Any]) -> list[Json]:
    """The functions that may be called: the chosen one alone where one is chosen."""
    functions: list[Json] = [tool["function"] for tool in body["tools"] if tool.get("type") == "function"]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        chosen: Any = choice.get("function", {}).get("name")
        return [function for function in functions if function["name"] == chosen] or functions
    return functions


def _must_call(body: Mapping[str, Any]) -> bool:
    return body.get("tool_choice") not in (None, "auto")


def _instructions(tools: Sequence[Json]) -> str:
    lines = [f"- {tool['name']}: {tool.get('description', '')}" for tool in tools]
    return "\n".join(["Answer in JSON. You can call one of these functions:", *lines])


def _call_schema(tools: Sequence[Json], *, must: bool) -> Json:
    ways = [
        {
            "type": "object",
            "properties": {"name": {"const": tool["name"]}, "arguments": _bounded(tool.get("parameters") or {})},
            "required": ["name", "arguments"],
        }
        for tool in tools
    ]
    if not must:
        reply: Json = {"reply": {"type": "string", "maxLength": MAX_REPLY}}
        ways.append({"type": "object", "properties": reply, "required": ["reply"]})
    return {"anyOf": ways} if len(ways) > 1 else ways[0]


def _bounded(schema: Mapping[str, Any]) -> Json:
    """The same schema with an end: strings and lists get a greatest length, objects no properties but their own."""
    bounded: Json = {name: _bounded_value(value) for name, value in schema.items() if name not in _UNSUPPORTED}
    kind = schema.get("type", "object" if "properties" in schema or not schema else None)
    if kind == "string" and not {"enum", "const"} & schema.keys():
        bounded["maxLength"] = min(schema.get("maxLength", MAX_STRING), MAX_STRING)
    if kind == "array":
        bounded["maxItems"] = min(schema.get("maxItems", MAX_ITEMS), MAX_ITEMS)
    if kind == "object":
        properties: Mapping[str, Any] = schema.get("properties") or {}
        bounded |= {"type": "object", "additionalProperties": False}
        bounded["properties"] = {name: _bounded(value) for name, value in properties.items()}
    return bounded


def _bounded_value(value: Any) -> Any:
    """Schemas nested in a keyword (`items`, `anyOf`, `$defs` …)."""
    if isinstance(value, dict):
        return _bounded(value)
    if isinstance(value, list):
        return [_bounded_value(item) for item in value]
    return value
