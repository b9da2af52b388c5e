"""How much of a conversation fits into a request: pure, and slow for long ones.

Counting is exact only where it matters. A text has at most as many tokens as bytes, so a conversation whose bytes fit
is told whole, uncounted; that is nearly every one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from worker.runs.context import Chat, Unit

MESSAGE = 8  # tokens around a message, at most
IMAGES = {"low": 85, "high": 1105, "auto": 1105}  # tokens by detail: OpenAI's figures, for 1024 pixels square

Count = Callable[[str], int]


class Told(NamedTuple):
    """What is told of a conversation; `fits` is false where not even its newest question fits."""

    units: Sequence[Unit]
    fits: bool


def fits_uncounted(units: Sequence[Unit], fixed: str, limit: int) -> bool:
    """Is everything so short that nothing needs to be counted?"""
    return _size(fixed) + sum(_cost(unit, _size) for unit in units) <= limit


def fit(units: Sequence[Unit], fixed: str, limit: int, count: Count) -> Told:
    """The newest units that fit into `limit` tokens beside what is `fixed` (instructions, tools); none is cut.

    What follows from the newest question on is told in any case, for without it there is nothing to answer.
    """
    left = limit - count(fixed)
    needed = _newest_question(units)
    for unit in units[needed:]:
        left -= _cost(unit, count)
    if left < 0:
        return Told(units[needed:], fits=False)
    first = needed
    while first > 0 and (cost := _cost(units[first - 1], count)) <= left:
        left -= cost
        first -= 1
    while first < needed and units[first][0].get("tool_calls"):  # calls whose question is left out
        first += 1
    return Told(units[first:], fits=True)


def _newest_question(units: Sequence[Unit]) -> int:
    places = [place for place, unit in enumerate(units) if unit[0]["role"] == "user"]
    return places[-1] if places else 0


def _cost(unit: Unit, count: Count) -> int:
    return sum(MESSAGE + sum(_part(part, count) for part in _parts(message)) for message in unit)


def _parts(message: Chat) -> list[Any]:
    content = message.get("content")
    parts: list[Any] = content if isinstance(content, list) else [content or ""]
    calls = message.get("tool_calls")
    return [*parts, orjson.dumps(calls).decode()] if calls else parts


def _part(part: str | Mapping[str, Any], count: Count) -> int:
    if isinstance(part, str):
        return count(part)
    return IMAGES[part["image_url"].get("detail", "auto")] if part["type"] == "image_url" else count(part["text"])


def _size(text: str) -> int:
    return len(text.encode())
