"""Which operations there are, which of them we serve, and which test files called them.

The referee notes every request that a test makes. At the end of a session the notes go to a file, under the test files
that ran; those of other files stay, so that some tests don't wipe out the rest. Only a session that begins the whole
suite begins the file anew, so that what its second part (part.py) finds there is of this time. Processes that share
the tests of a session tell their notes to the one that started them. `poe coverage-api` prints them as a table, and
with `--write` writes api/COVERAGE.md, which names one test file for each operation: the one that it named before, as
long as that still calls it. The programs of foreign clients run in processes of their own and are not counted.
"""

import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from api.app import create_app
from shared.settings import Settings
from shared.wire.fields import Dialect
from tests.conformance.part import Part
from tests.conformance.schema.contract import described, pattern

ROOT = Path(__file__).parent.parent.parent
NOTES = ROOT / ".cache" / "coverage-api.json"
PAGE = ROOT / "api" / "COVERAGE.md"
ROW = re.compile(r"\| `(\w+) (\S+)` \| (v\d) \| (.+) \|")
HEAD = """\
# Every operation of the Assistants API, and what becomes of it here

Those that OpenAI described, in v2 (2026-08-21, and the administration of projects) and in v1 (2024-03-28), and our own.
Behind each that is served stands a file of tests that calls it, each answer held against OpenAI's schema and the
official client's types; the whole list of files is printed by `uv run poe coverage-api`. Written by
`uv run poe coverage-api --write`.

| operation | in | |
|---|---|---|
"""
DIALECTS: tuple[Dialect, ...] = ("v1", "v2")

Operation = tuple[str, str]
"""Method and path; the path with `{names}` in it, and without `/v1`."""

Plain = dict[str, list[dict[str, Any]]]
"""Calls by test file, as JSON and other processes know them."""


@dataclass(frozen=True, order=True)
class Call:
    """An operation that was asked for, in a dialect; `served` if it gave something else than an error."""

    method: str
    path: str
    dialect: Dialect
    served: bool


Calls = dict[str, set[Call]]
"""By test file."""

_requests: Calls = defaultdict(set)
"""With the paths that were really asked for."""

_heard: Calls = {}
"""What processes that ran tests for this one have called."""


@cache
def our_openapi() -> dict[str, Any]:
    """Our application, as it describes itself; not to be changed by its readers."""
    return create_app(Settings(database_url="postgresql://", redis_url="redis://")).openapi()


@cache
def our_operations() -> set[Operation]:
    """What our own application serves."""
    paths = our_openapi()["paths"]
    return {(verb.upper(), path.removeprefix("/v1")) for path, verbs in paths.items() for verb in verbs}


@cache
def openais_operations(dialect: Dialect) -> set[Operation]:
    """What OpenAI described in that dialect."""
    return {(verb.upper(), path) for path, verbs in described(dialect)["paths"].items() for verb in verbs}


@cache
def known() -> list[Operation]:
    """All operations of which there is word, literal paths before those with names in them."""
    every = our_operations().union(*map(openais_operations, DIALECTS))
    return sorted(every, key=lambda one: (one[1].count("{"), one))


def note(method: str, path: str, dialect: Dialect, status: int) -> None:
    """Remember a request for the test file that is running."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "")  # pytest's own word for it: file::test (phase)
    _requests[test.partition("::")[0]].add(Call(method, path.removeprefix("/v1"), dialect, served=status < 400))


def noted() -> Calls:
    """The operations that tests have called. A path that nobody describes is nobody's business."""
    return together(_heard, {name: set(_described(made)) for name, made in _requests.items()})


def together(*several: Calls) -> Calls:
    """What all of them know."""
    return {name: set[Call]().union(*(calls.get(name, ()) for calls in several)) for name in set[str]().union(*several)}


def plain(calls: Calls) -> Plain:
    """For a file or another process."""
    return {name: [asdict(call) for call in sorted(made)] for name, made in sorted(calls.items())}


def read(told: Plain) -> Calls:
    """The calls that were told with `plain`."""
    return {name: {Call(**call) for call in made} for name, made in told.items()}


def hear(told: Plain) -> None:
    """Take over what a process has noted that ran tests for this one."""
    _heard.update(together(_heard, read(told)))


def _described(made: Iterable[Call]) -> Iterator[Call]:
    """The calls with the paths of their operations in place of those that were asked for."""
    patterns = [(verb, path, pattern(path)) for verb, path in known()]
    for call in made:
        for verb, path, matching in patterns:
            if verb == call.method and matching.fullmatch(call.path):
                yield replace(call, path=path)
                break


def not_served(made: Iterable[Call]) -> list[Call]:
    """Operations of ours that gave nobody anything but errors in one of their dialects, or that nobody asked for."""
    every = {Call(*operation, dialect, served=True) for operation in our_operations() for dialect in spoken(operation)}
    return sorted(every - set(made))


def spoken(operation: Operation) -> list[Dialect]:
    """The dialects that describe an operation; what neither does is ours."""
    return [dialect for dialect in DIALECTS if operation in openais_operations(dialect)] or ["v2"]


def called(ran: Iterable[str]) -> Calls:
    """What the test files that ran have called, here or in other processes of the session; of some it is nothing."""
    made = noted()
    return {name: made.get(name, set()) for name in {*ran, *_heard}}


def save(called: Calls, part: Part) -> None:
    """Write down what a session has called."""
    match part:
        case Part.WHOLE | Part.BESIDE:
            merged = called
        case Part.ALONE:
            merged = together(load(), called)  # the rest of a file may have run in the first part
        case Part.CHOSEN:
            merged = {name: before for name, before in load().items() if (ROOT / name).exists()} | called
    NOTES.parent.mkdir(exist_ok=True)
    NOTES.write_text(json.dumps(plain({name: calls for name, calls in merged.items() if calls}), indent=1))


def load() -> Calls:
    """What sessions have written down."""
    return read(json.loads(NOTES.read_text())) if NOTES.exists() else {}


def of_the_suite(part: Part) -> Calls:
    """What the whole suite has called, at the end of the part of it that comes last."""
    return together(load(), noted()) if part is Part.ALONE else noted()


def table(made: Calls) -> Iterator[str]:
    """A line for each operation and dialect: what it is, where it stands, and who called it."""
    yield _line("path", "method", "in", "is", "called by")
    for verb, path in sorted(known(), key=lambda one: one[::-1]):
        ours = (verb, path) in our_operations()
        for dialect in spoken((verb, path)):
            call = Call(verb, path, dialect, served=ours)
            files = sorted(name.removeprefix("tests/") for name, calls in made.items() if call in calls)
            yield _line(path, verb, dialect, "implemented" if ours else "refused", ", ".join(files) or "-")


def _line(path: str, verb: str, dialect: str, where: str, files: str) -> str:
    return f"{path:<66} {verb:<6} {dialect:<2} {where:<11} {files}"


Witnesses = dict[tuple[str, str, str], str]
"""By method, path and dialect: a test file, below `tests/`, that the operation was served to."""


def told() -> Witnesses:
    """Whom the page names; what is refused stands in no file of tests."""
    text = PAGE.read_text() if PAGE.exists() else ""
    return {(verb, path, dialect): where for verb, path, dialect, where in ROW.findall(text)}


def page(made: Calls, before: Witnesses) -> str:
    """The page; whom it named before it names again if that is still true. Raises LookupError if there is nobody."""
    rows: list[str] = []
    for verb, path in sorted(known(), key=lambda one: one[::-1]):
        for dialect in spoken((verb, path)):
            where = "refused"
            if (verb, path) in our_operations():
                call = Call(verb, path, dialect, served=True)
                files = sorted(f"`{name}`" for name, calls in made.items() if name and call in calls)
                if not files:
                    raise LookupError(f"no test is known to call {verb} {path} in {dialect}: run the whole suite first")
                former = before.get((verb, path, dialect), "")
                where = former if former in files else files[0]
            rows.append(f"| `{verb} {path}` | {dialect} | {where} |")
    return HEAD + "\n".join(rows) + "\n"


def main() -> None:
    """Print the table, or write the page."""
    made = load()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(made, told()))
        return
    print("\n".join(table(made)))
    if not made:
        print("\nNobody has called anything yet: `uv run poe test` notes who calls what.")


if __name__ == "__main__":
    main()
