"""Every operation that we serve was called by some test; this file runs last."""

from dataclasses import replace

import pytest

from tests.conformance import coverage
from tests.conformance.coverage import Call


def whole_suite(config: pytest.Config) -> bool:
    """Nothing was left out: no paths were named, no tests chosen by word or for having failed."""
    chosen = config.option.keyword or config.getoption("lf", default=False)
    return config.args_source == pytest.Config.ArgsSource.TESTPATHS and not chosen


def test_every_operation_of_ours_was_served_to_a_test(pytestconfig: pytest.Config) -> None:
    if not whole_suite(pytestconfig):
        pytest.skip("only the whole suite can have called everything")

    called = {call for made in coverage.noted().values() for call in made}

    assert coverage.not_served(called) == []


def test_the_page_is_true(pytestconfig: pytest.Config) -> None:
    if not whole_suite(pytestconfig):
        pytest.skip("only the whole suite can tell who calls what")

    assert coverage.PAGE.read_text() == coverage.page(coverage.noted(), coverage.told()), "poe coverage-api --write"


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
