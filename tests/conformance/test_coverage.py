"""Every operation that we serve was called by some test; what judges the others runs last."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance import coverage
from tests.conformance.coverage import Call, Calls
from tests.conformance.part import Part


@pytest.fixture
def suite(pytestconfig: pytest.Config) -> Calls:
    """What all its tests have called."""
    part = Part.of(pytestconfig)
    if part is Part.CHOSEN:
        pytest.skip("only the whole suite can tell who calls what")
    return coverage.of_the_suite(part)


@pytest.mark.alone
def test_every_operation_of_ours_was_served_to_a_test(suite: Calls) -> None:
    called = {call for made in suite.values() for call in made}

    assert coverage.not_served(called) == []


@pytest.mark.alone
def test_the_page_is_true(suite: Calls) -> None:
    assert coverage.PAGE.read_text() == coverage.page(suite, coverage.told()), "poe coverage-api --write"


def test_the_page_has_all_operations() -> None:
    every = {(*operation, dialect) for operation in coverage.known() for dialect in coverage.spoken(operation)}
    refused = {call for call in every if call[:2] not in coverage.our_operations()}

    told = coverage.told()

    assert told.keys() == every, "uv run poe coverage-api --write"
    assert {call for call, where in told.items() if where == "refused"} == refused
    assert all((coverage.ROOT / where.strip("`")).exists() for where in told.values() if where != "refused")


def test_the_page_names_whom_it_named_before_while_that_is_true() -> None:
    call = Call("POST", "/assistants", "v2", served=True)
    every = {
        Call(*operation, dialect, served=True)
        for operation in coverage.our_operations()
        for dialect in coverage.spoken(operation)
    }
    before = {("POST", "/assistants", "v2"): "`tests/b.py`", ("POST", "/threads", "v2"): "`tests/gone.py`"}

    page = coverage.page({"tests/a.py": every, "tests/b.py": {call}}, before)

    assert "| `POST /assistants` | v2 | `tests/b.py` |" in page
    assert "| `POST /threads` | v2 | `tests/a.py` |" in page
    with pytest.raises(LookupError, match=r"POST /assistants in v2"):
        coverage.page({"tests/a.py": every - {call}}, before)


def test_what_was_only_refused_was_not_served() -> None:
    every = {
        Call(*operation, dialect, served=True)
        for operation in coverage.our_operations()
        for dialect in coverage.spoken(operation)
    }
    one = Call("GET", "/threads/{thread_id}", "v1", served=True)

    assert coverage.not_served(every) == []
    assert coverage.not_served(every - {one} | {replace(one, served=False)}) == [one]


def test_requests_are_told_by_their_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "_requests", coverage.defaultdict(set))
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/some.py::test (call)")
    for path in ("/v1/threads/runs", "/v1/threads/thread_1", "/v1/nothing"):
        coverage.note("POST", path, "v1", 200)
    coverage.note("GET", "/v1/models/owner/name", "v2", 404)

    assert coverage.noted() == {
        "tests/some.py": {
            Call("POST", "/threads/runs", "v1", served=True),
            Call("POST", "/threads/{thread_id}", "v1", served=True),
            Call("GET", "/models/{model}", "v2", served=False),
        }
    }


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Of nobody yet."""
    for name in ("_requests", "_heard"):
        monkeypatch.setattr(coverage, name, coverage.defaultdict(set))
    monkeypatch.setattr(coverage, "NOTES", tmp_path / "notes.json")
    return coverage.NOTES


A, B, C = (Call("GET", f"/{name}", "v2", served=True) for name in ("assistants", "files", "models"))
HERE, THERE = (f"tests/{name}" for name in ("conformance/test_coverage.py", "test_readme.py"))


def test_to_the_second_part_it_is_known_what_the_first_one_called(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes.write_text(json.dumps(coverage.plain({"tests/of_another_time.py": {C}})))

    coverage.hear(coverage.plain({HERE: {A}, THERE: set()}))  # of one process
    coverage.hear(coverage.plain({HERE: set(), THERE: {B}}))
    coverage.save(coverage.called([]), Part.BESIDE)
    assert coverage.load() == {HERE: {A}, THERE: {B}}

    monkeypatch.setattr(coverage, "_heard", {})
    coverage.note("GET", "/v1/models", "v2", 200)
    assert coverage.of_the_suite(Part.ALONE) == {HERE: {A, C}, THERE: {B}}
    assert coverage.of_the_suite(Part.WHOLE) == {HERE: {C}}
    coverage.save(coverage.called([HERE]), Part.ALONE)
    assert coverage.load() == {HERE: {A, C}, THERE: {B}}


def test_some_tests_leave_what_is_noted_of_other_files(notes: Path) -> None:
    notes.write_text(json.dumps(coverage.plain({HERE: {A}, THERE: {B}, "tests/gone.py": {C}})))

    coverage.note("GET", "/v1/models", "v2", 200)
    coverage.save(coverage.called([HERE]), Part.CHOSEN)

    assert coverage.load() == {HERE: {C}, THERE: {B}}


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ([], Part.WHOLE),
        (["-m", "not alone"], Part.BESIDE),
        (["-m", "alone"], Part.ALONE),
        (["-m", "anything"], Part.CHOSEN),
        (["-m", "alone", "-k", "files"], Part.CHOSEN),
        (["--lf"], Part.CHOSEN),
        (["tests/api"], Part.CHOSEN),
    ],
)
def test_a_session_knows_how_much_of_the_suite_it_runs(
    options: list[str], part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(coverage.ROOT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that plugins are there already
        config = pytest.Config.fromdictargs({}, options)
    config._ensure_unconfigure()  # pyright: ignore[reportPrivateUsage] - what it has put into the import system

    assert Part.of(config) is part


def test_the_table_has_a_line_for_each_operation_and_dialect() -> None:
    call = Call("POST", "/assistants", "v1", served=True)

    head, *lines = coverage.table({"tests/api/test_one.py": {call}, "tests/two.py": {call}})

    assert head.split() == ["path", "method", "in", "is", "called", "by"]
    assert lines == sorted(lines, key=lambda line: line.split()[:3])
    shown = {tuple(line.split()[:3]): line.split()[3:] for line in lines}
    assert shown["/assistants", "POST", "v1"] == ["implemented", "api/test_one.py,", "two.py"]
    assert shown["/assistants", "POST", "v2"] == ["implemented", "-"]
    assert shown["/models/{model}", "DELETE", "v2"] == ["refused", "-"]
    assert len(shown) == len(lines)
