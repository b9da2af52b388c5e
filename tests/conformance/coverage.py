"""Which operations there are, which of them we serve, and which test files called them.

The referee notes every request that a test makes. At the end of a session the notes go to a file, under the test files
that ran; those of other files stay, so that a part of the suite doesn't wipe out the rest. `poe coverage-api` prints
them as a table, and with `--write` writes api/COVERAGE.md, which names one test file for each operation: the one that
it named before, as long as that still calls it. The programs of foreign clients run in processes of their own and are
not counted.
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


@dataclass(frozen=True, order=True)
class Call:
    """An operation that was asked for, in a dialect; `served` if it gave something else than an error."""

    method: str
    path: str
    dialect: Dialect
    served: bool


_requests: dict[str, set[Call]] = defaultdict(set)
"""By test file, with the paths that were really asked for."""


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


def noted() -> dict[str, set[Call]]:
    """The operations that tests have called, by test file. A path that nobody describes is nobody's business."""
    return {name: set(_described(made)) for name, made in _requests.items()}


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


def save(ran: Iterable[str]) -> None:
    """Write down what the test files that ran have called."""
    kept = {name: made for name, made in load().items() if (ROOT / name).exists()}
    made = noted()
    merged = {**kept, **{name: made.get(name, set()) for name in ran}}
    NOTES.parent.mkdir(exist_ok=True)
    plain = {name: [asdict(call) for call in sorted(made)] for name, made in sorted(merged.items()) if made}
    NOTES.write_text(json.dumps(plain, indent=1))


def load() -> dict[str, set[Call]]:
    """What sessions have written down, by test file."""
    if not NOTES.exists():
        return {}
    return {name: {Call(**call) for call in made} for name, made in json.loads(NOTES.read_text()).items()}


def table(made: dict[str, set[Call]]) -> Iterator[str]:
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


def page(made: dict[str, set[Call]], before: Witnesses) -> str:
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
