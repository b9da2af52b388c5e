"""Our own OpenAPI says of every operation what it answers, what it refuses with, and where its ids lead."""

from typing import Any

from fastapi import FastAPI

from api.app import create_app
from shared.settings import Settings
from tests.conformance.coverage import our_openapi
from tests.conformance.schema.ours import judge_answer

ENVELOPE = {"$ref": "#/components/schemas/Envelope"}
ERROR = {"message": "No thread found.", "type": "invalid_request_error", "param": None, "code": None}


def operations() -> dict[tuple[str, str], Any]:
    paths = our_openapi()["paths"]
    return {
        (method, path): operation
        for path in paths
        for method, operation in paths[path].items()
        if path.startswith("/v1/")
    }


def test_every_answer_has_a_schema() -> None:
    schemas = our_openapi()["components"]["schemas"]
    for place, operation in operations().items():
        content = operation["responses"]["200"]["content"]
        assert content, place
        for kind, described_as in content.items():
            named = described_as["schema"].get("$ref", "").rpartition("/")[2]
            assert named in schemas if kind == "application/json" else described_as["schema"]["type"] == "string"


def test_every_error_is_in_the_envelope() -> None:
    for place, operation in operations().items():
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert {"400", "401", "500", "503"} <= errors.keys(), place
        assert "422" not in errors
        assert ("413" in errors) == (place[0] == "post")
        for answer in errors.values():
            assert answer["content"]["application/json"]["schema"] == ENVELOPE


def test_streams_and_bytes_are_told_of() -> None:
    known = operations()
    run = known["post", "/v1/threads/{thread_id}/runs"]["responses"]["200"]["content"]
    assert run.keys() == {"application/json", "text/event-stream"}
    assert known["get", "/v1/files/{file_id}/content"]["responses"].keys() >= {"200", "206", "416"}


def test_no_page_has_browsers_fetch_scripts_from_elsewhere() -> None:
    app = create_app(Settings(database_url="postgresql://nobody", redis_url="redis://nobody"))
    assert {"/docs", "/redoc"}.isdisjoint(getattr(route, "path", "") for route in app.routes)


def test_links_lead_somewhere() -> None:
    """To operations that there are, with all that their paths need; and to each that needs something."""
    by_id = {operation["operationId"]: (place, operation) for place, operation in operations().items()}
    reached: set[Any] = set()
    for operation in operations().values():
        for link in operation["responses"]["200"].get("links", {}).values():
            place, target = by_id[link["operationId"]]
            reached.add(place)
            needed = {one["name"] for one in target["parameters"] if one["in"] == "path"}
            assert link.get("parameters", {}).keys() == needed
            assert needed or link["requestBody"]
    assert reached >= {place for place in operations() if "{" in place[1]}


def test_a_link_carries_what_a_body_needs() -> None:
    links = operations()["post", "/v1/assistants"]["responses"]["200"]["links"]
    (run,) = [link for link in links.values() if link.get("requestBody")]
    assert run["requestBody"] == {"assistant_id": "$response.body#/id"}
    part = operations()["post", "/v1/uploads/{upload_id}/parts"]["responses"]["200"]["links"]
    assert {"part_ids": ["$response.body#/id"]} in [link.get("requestBody") for link in part.values()]


def test_ids_are_told_apart() -> None:
    (parameter,) = [
        one for one in operations()["get", "/v1/threads/{thread_id}"]["parameters"] if one["name"] == "thread_id"
    ]
    assert parameter["schema"]["pattern"] == "^thread_"


def test_what_is_not_described_is_seen() -> None:
    assert judge_answer("GET", "/v1/threads/thread_1", 404, {"error": ERROR}) == []
    assert judge_answer("GET", "/v1/threads/thread_1", 404, {"error": ERROR | {"hint": "?"}}) != []
    assert judge_answer("GET", "/v1/threads/thread_1", 409, {"error": ERROR}) != []
    deleted = {"id": "thread_1", "object": "thread.deleted", "deleted": True}
    assert judge_answer("DELETE", "/v1/threads/thread_1", 200, deleted) == []
    assert judge_answer("DELETE", "/v1/threads/thread_1", 200, deleted | {"more": 1}) != []


def test_no_shape_of_answers_displaces_one_of_requests() -> None:
    application = create_app(Settings(database_url="postgresql://", redis_url="redis://"))
    requests = FastAPI.openapi(application)["components"]["schemas"]
    schemas = our_openapi()["components"]["schemas"]

    for name in requests.keys() - {"HTTPValidationError", "ValidationError"}:
        assert name.startswith("Body_") or schemas[name] == requests[name]
