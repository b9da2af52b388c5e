"""Reading a dump: JSON values from files of any size, a few in memory at a time."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import InvalidRequest
from shared.transfer.kinds import BY_OBJECT, EXTENSION, KINDS, Kind

SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
CHUNK = 1024 * 1024  # characters
LONGEST = 256 * CHUNK  # of one value: a page of a hundred messages of the greatest length, and then some
_BETWEEN = " \t\r\n,[]\ufeff"  # of values: lines, and lists around them

_OBJECT = re.compile(rb'\s*\[?\s*\{[^{}]*"object"\s*:\s*"')

Item = dict[str, Any]


@dataclass(slots=True)
class Survey:
    """What a dump has: which files have which kinds, whether each kind comes oldest or newest first, and how much there
    is of what we know nothing of, by its `object`.
    """

    files: dict[str, list[Path]] = field(default_factory=lambda: {name: [] for name in KINDS})
    rising: Counter[str] = field(default_factory=Counter[str])
    unknown: Counter[str] = field(default_factory=Counter[str])
    unread: list[Path] = field(default_factory=list[Path])

    def oldest_first(self, kind: Kind) -> bool:
        """Pages of OpenAI's lists come newest first, unless asked otherwise; so does what doesn't tell."""
        return self.rising[kind.name] > 0


def survey(directory: Path, paths: list[Path]) -> Survey:
    """Look through these files once. Those with nothing that we know of are `unread`: they may be contents. Raises
    InvalidRequest if one ends in the middle of something.
    """
    told = Survey()
    for path in paths:
        _look_through(directory, path, told)
    return told


def _look_through(directory: Path, path: Path, told: Survey) -> None:
    known: set[str] = set()
    before: dict[str, tuple[Any, int]] = {}
    unknown: Counter[str] = Counter()
    try:
        for item in objects(path):
            kind = BY_OBJECT.get(item.get("object", ""))
            if kind is None:
                unknown[str(item.get("object"))] += 1
                continue
            known.add(kind.name)
            parent, at = item.get("run_id") or item.get("thread_id"), item.get("created_at")
            last = before.get(kind.name)
            if isinstance(at, int) and last is not None and last[0] == parent:
                told.rising[kind.name] += (at > last[1]) - (at < last[1])
            if isinstance(at, int):
                before[kind.name] = parent, at
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        if known or _begins_as_dump(path):
            raise InvalidRequest(f"{path.relative_to(directory)} can't be read to its end: {error}.") from None
    if not known:
        if path.stat().st_size:
            told.unread.append(path)
        return
    told.unknown += unknown
    for name in known:
        told.files[name].append(path)


def _begins_as_dump(path: Path) -> bool:
    """Would it have been an object of ours, or a page of them, had it been whole?"""
    with path.open("rb") as file:
        return _OBJECT.match(file.read(1000)) is not None


def of_kind(told: Survey, kind: Kind) -> Iterator[Item]:
    """All objects of a kind, as they come."""
    for path in told.files[kind.name]:
        yield from (item for item in objects(path) if item.get("object") == kind.object)


def objects(path: Path) -> Iterator[Item]:
    """Every object in a file: lines, lists, pages of lists, lists by name, or one alone. Raises JSONDecodeError,
    UnicodeDecodeError.
    """
    for value in values(path):
        if not isinstance(value, dict):
            continue
        if value.get("object", "list") != "list":
            yield value
            continue
        for page in value.values():
            if isinstance(page, list):
                yield from (item for item in page if isinstance(item, dict))


def values(path: Path) -> Iterator[Any]:
    """JSON values that stand behind each other, on lines of their own or in a list. Raises JSONDecodeError, also where
    the last one isn't whole or a list is left open; UnicodeDecodeError.
    """
    deep = 0
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8") as file:
        text, place, chunk = "", 0, CHUNK
        while True:
            begin, place = place, _skip(text, place)
            deep += text.count("[", begin, place) - text.count("]", begin, place)
            try:
                if place == len(text):
                    raise json.JSONDecodeError("Nothing is left", "", 0)  # noqa: TRY301 # to be read on, as below
                value, end = decoder.raw_decode(text, place)
            except json.JSONDecodeError as error:
                more = file.read(chunk)
                if not more or len(text) - place > LONGEST:
                    if place < len(text):
                        raise json.JSONDecodeError(error.msg, "", 0) from None
                    if deep > 0:
                        raise json.JSONDecodeError("A list is not closed", "", 0) from None
                    return
                text, place, chunk = text[place:] + more, 0, 2 * chunk
                continue
            if end == len(text) and (more := file.read(CHUNK)):  # a number may go on
                text += more
                continue
            place, chunk = end, CHUNK
            yield value


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in _BETWEEN:
        place += 1
    return place


def unknown_fields(kind: Kind, item: Item) -> Iterator[str]:
    """Names of what we have no place for."""
    yield from sorted(item.keys() - kind.fields - {EXTENSION})
    beside = item.get(EXTENSION)
    if isinstance(beside, dict):
        yield from sorted(f"{EXTENSION}.{name}" for name in beside.keys() - set(kind.beside))
