"""How turns look on the wire of chat completions: chunks, whole answers, usage, error envelopes.

Usage follows one rule that tests can recompute: a token is a whitespace-separated word. The prompt is the text of all
messages; the completion is the text said plus, for each call, its name and the words of its arguments.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

from tests.scripted_model.turns import CallFunctions, Gate, Say

Json = dict[str, Any]


def error_envelope(message: str, *, type: str = "server_error", code: str | None = None) -> Json:  # noqa: A002 - OpenAI's word
    """The body of an error answer."""
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def deltas(turn: Say | CallFunctions, call_ids: Sequence[str]) -> Iterator[Json | Gate]:
    """The pieces of a streamed answer after the role chunk, and the gates between them."""
    match turn:
        case Say():
            for piece in _pieces_of_text(turn.text):
                yield piece if isinstance(piece, Gate) else {"content": piece}
        case CallFunctions():
            if turn.text:
                yield from ({"content": word} for word in _words(turn.text))
            each = [list(_call_deltas(turn, position, call_ids[position])) for position in range(len(turn.calls))]
            rounds = zip_longest(*each) if turn.interleaved else each
            yield from ({"tool_calls": [part]} for part in chain.from_iterable(rounds) if part)


def chunk(completion_id: str, model: str, choices: Sequence[Json], **more: Any) -> Json:
    """One event of a streamed answer."""
    return {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": list(choices),
        **more,
    }


def choice(delta: Json, finish: str | None = None) -> Json:
    """The one choice of a chunk."""
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def completion(completion_id: str, model: str, choices: Sequence[Json], usage: Json | None) -> Json:
    """A whole, unstreamed answer; without `usage` where the server reports none."""
    body = chunk(completion_id, model, choices) | {"object": "chat.completion"}
    return body if usage is None else body | {"usage": usage}


def whole_choice(turn: Say | CallFunctions, call_ids: Sequence[str]) -> Json:
    """The one choice of an unstreamed answer."""
    message: Json = {"role": "assistant", "content": said(turn) or None, "refusal": None}
    if isinstance(turn, CallFunctions):
        message["tool_calls"] = [
            {"type": "function", "function": {"name": name, "arguments": _arguments(arguments)}}
            | ({"id": call_id} if turn.ids else {})
            for (name, arguments), call_id in zip(turn.calls, call_ids, strict=True)
        ]
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": turn.finish}


def said(turn: Say | CallFunctions) -> str:
    """The text of an answer."""
    if isinstance(turn, CallFunctions):
        return turn.text or ""
    return "".join(piece for piece in _pieces_of_text(turn.text) if isinstance(piece, str))


def usage(request: Json, turn: Say | CallFunctions) -> Json:
    """Token counts by the rule above."""
    prompt = sum(len(text_of(message).split()) for message in request["messages"])
    calls = turn.calls if isinstance(turn, CallFunctions) else ()
    answer = len(said(turn).split()) + sum(1 + len(_arguments(arguments).split()) for _, arguments in calls)
    counts: Json = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
    return counts if turn.cached is None else counts | {"prompt_tokens_details": {"cached_tokens": turn.cached}}


def text_of(message: Json) -> str:
    """The text of a request's message, be its content a string, a list of parts or absent."""
    content: str | list[Json] | None = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(str(part["text"]) for part in content if part.get("type") == "text")


def echo(request: Json) -> Say:
    """What a model without a script says: the last user message."""
    asked = [text_of(message) for message in request["messages"] if message.get("role") == "user"]
    return Say(f"You said: {asked[-1]}" if asked else "You said nothing.")


def _call_deltas(turn: CallFunctions, position: int, call_id: str) -> Iterator[Json]:
    name, arguments = turn.calls[position]
    where: Json = {"index": position} if turn.indexes else {}
    identity: Json = {"id": call_id} if turn.ids else {}
    yield where | identity | {"type": "function", "function": {"name": name, "arguments": ""}}
    for piece in _cut(_arguments(arguments), turn.pieces):
        yield where | {"function": {"arguments": piece}}


def _arguments(arguments: Mapping[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _cut(text: str, pieces: int) -> Iterator[str]:
    size = max(1, -(-len(text) // pieces))
    return (text[start : start + size] for start in range(0, len(text), size))


def _pieces_of_text(text: str | Sequence[str | Gate]) -> Sequence[str | Gate]:
    return _words(text) if isinstance(text, str) else text


def _words(text: str) -> list[str]:
    """The text cut before each word, nothing lost."""
    return re.findall(r"\S+\s*|\s+", text)
