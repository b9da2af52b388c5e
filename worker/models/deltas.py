"""Chunks of a streamed answer, put together: pure."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared import ids
from worker.models.text import storable

USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")


def says_something(chunk: dict[str, Any]) -> bool:
    """Is there a word in it, a call or an end? Chunks before that give a role, or nothing."""
    return any(
        choice.get("finish_reason") or _spoken(choice.get("delta") or {}) for choice in chunk.get("choices") or []
    )


def _spoken(delta: dict[str, Any]) -> bool:
    return any(delta.get(part) for part in ("content", "refusal", "tool_calls"))


@dataclass(slots=True)
class Call:
    """One call of a function, as far as it has come."""

    id: str
    name: str
    arguments: str = ""

    def plain(self) -> dict[str, Any]:
        """As `required_action` shows it; some endpoints leave out the arguments of a call that has none."""
        arguments = self.arguments or "{}"
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": arguments}}


@dataclass(frozen=True, slots=True)
class Delta:
    """What one chunk adds: words, or a call (new, or more of its arguments)."""

    text: str = ""
    call: int | None = None
    arguments: str = ""
    begins: bool = False


@dataclass(slots=True)
class Answer:
    """Everything that was said so far. `began` and `seed` make ids for calls that come without one."""

    began: datetime
    seed: tuple[object, ...]
    text: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    finish_reason: str | None = None
    usage: dict[str, int] | None = None
    cached: int = 0  # of its prompt_tokens, those that the endpoint had at hand
    _places: dict[object, int] = field(default_factory=dict[object, int])

    def add(self, chunk: dict[str, Any]) -> list[Delta]:
        """Take in a chunk; returns what it adds, in order."""
        if usage := chunk.get("usage"):
            self.usage = {name: int(usage.get(name) or 0) for name in USAGE}
            self.cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
        deltas: list[Delta] = []
        for choice in chunk.get("choices") or []:
            if choice.get("index"):  # more than one choice was never asked for
                continue
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = choice.get("delta") or {}
            if text := storable(delta.get("content") or delta.get("refusal")):
                self.text += text
                deltas.append(Delta(text=text))
            deltas += [self._call(call) for call in delta.get("tool_calls") or []]
        return deltas

    def _call(self, piece: dict[str, Any]) -> Delta:
        """Pieces of a call belong together by index; servers that send none send whole calls, told apart by id."""
        function = piece.get("function") or {}
        arguments = storable(function.get("arguments"))
        place = self._place(piece)
        if place is not None:
            self.calls[place].arguments += arguments
            return Delta(call=place, arguments=arguments)
        place = len(self.calls)
        self._places[self._key(piece)] = place
        self.calls.append(Call(self._id(piece, place), storable(function.get("name")), arguments))
        return Delta(call=place, arguments=arguments, begins=True)

    def _place(self, piece: dict[str, Any]) -> int | None:
        place = self._places.get(self._key(piece))
        if place is None:
            return None
        fresh = storable(piece.get("id")) if (piece.get("function") or {}).get("name") else ""
        return None if fresh and fresh != self.calls[place].id and self.calls[place].arguments else place

    @staticmethod
    def _key(piece: dict[str, Any]) -> object:
        index = piece.get("index")
        return index if index is not None else piece.get("id") or object()

    def _id(self, piece: dict[str, Any], place: int) -> str:
        """The endpoint's id, unless it has none or has used it before."""
        given = storable(piece.get("id"))
        if given and all(call.id != given for call in self.calls):
            return given
        return ids.derive("call", self.began, place, *self.seed)
