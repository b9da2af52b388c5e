"""Every route with another project's id in every position, next to an id that nobody has; and with one's own ids.

The positions are those that our own OpenAPI describes: a field that takes an id is in the matrix, or named here with
the reason why it isn't.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.organization import described
from tests.organization.bodies import Body
from tests.organization.matrix import OF_OTHERS, POSITIONS, ROUTES, Position, Route, positions
from tests.organization.stage import Own, Stage, nobodys
from tests.scripted_model import ScriptedModel
from tests.system import System

RATE_LIMITS = "/organization/projects/{project_id}/rate_limits"
DESCRIBED = "tool_resources.file_search.vector_stores[].file_ids[]"
UNTRIED = {
    ("GET /models/{model}", "{model}"): "names of models belong to nobody",
    (f"POST {RATE_LIMITS}/{{rate_limit_id}}", "{rate_limit_id}"): "nor does what is made of them",
    (f"GET {RATE_LIMITS}", "?after"): "likewise",
    (f"GET {RATE_LIMITS}", "?before"): "likewise",
    ("GET /threads/{thread_id}/runs/{run_id}/events", "last-event-id"): "a number among the events of this run",
    ("POST /assistants/{assistant_id}", DESCRIBED): "refused, whatever it holds: stores are made with what is new",
    ("POST /threads/{thread_id}", DESCRIBED): "likewise",
}

OTHERWISE = {
    ("POST /uploads/{upload_id}/complete", "part_ids[0]"): 400,  # which of them are this upload's is what is judged
    ("POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs", "tool_outputs[0].tool_call_id"): 400,  # likewise
    # Files are in many stores, so that an id doesn't tell a place in the list of one: only a file that is there does.
    **{
        (f"GET /vector_stores/{{vector_store_id}}/{of}", cursor): 400
        for of in ("files", "file_batches/{batch_id}/files")
        for cursor in ("?after", "?before")
    },
}
"""Where another answer is given than that there is no such thing, or that a list goes on as if there were none."""

KEPT = (
    *("assistants", "threads", "messages", "runs", "run_steps", "files", "uploads", "upload_parts", "vector_stores"),
    *("vector_store_files", "vector_store_batches", "service_accounts", "api_keys", "audit_entries"),
)
"""What a request could change."""


def expected(position: Position) -> int:
    """The status of an answer about an id that one's own project doesn't have."""
    return OTHERWISE.get((str(position.route), position.where), 200 if position.where.startswith("?") else 404)


@pytest.fixture(scope="module")
async def stage(system: System, model: ScriptedModel) -> AsyncIterator[Stage]:
    async with Stage.of(system, model) as made:
        yield made


def test_no_position_is_left_out() -> None:
    tried = {(str(position.route), position.place) for position in POSITIONS}
    there = {(str(route), place) for route in ROUTES for place in described.places(route.method, route.path)}

    assert there == tried | UNTRIED.keys()
    assert tried.isdisjoint(UNTRIED)
    assert len(OF_OTHERS) > 150


@pytest.mark.parametrize("position", OF_OTHERS, ids=str)
async def test_ids_of_another_project(system: System, stage: Stage, position: Position) -> None:
    """They are not told apart from ids that nobody has; nothing else about the request is wrong; nothing is done, to
    neither project.
    """
    client, theirs = stage.asks(position.route), stage.other(position)
    before = _rows(system, stage)
    answers: list[tuple[int, Any]] = []
    for other in (theirs, nobodys(theirs)):
        answer = await client.request(**stage.request(position, other))
        answers.append((answer.status_code, answer.text.replace(other, "{id}")))

    # An admin key may be told that there is such a project, though nothing in it of that id.
    assert answers[0] == answers[1] or (position.where == "{project_id}" and position.route.of_organization)
    assert {status for status, _ in answers} == {expected(position)}
    if position.in_body:
        assert "{id}" in answers[0][1]
    assert _rows(system, stage) == before


def _rows(system: System, stage: Stage) -> dict[str, str]:
    """What there is of both projects, by table: a digest of it, but for when a key was used."""
    both = [things.ids["project_id"] for things in (stage.mine, stage.theirs)]
    digests = ", ".join(
        f"(SELECT md5(coalesce(string_agg(CAST(to_jsonb(one) - 'last_used_at' AS text), ' ' ORDER BY id), ''))"
        f" FROM {table} AS one WHERE project_id = ANY(%s))"
        for table in KEPT
    )
    (found,) = system.query(f"SELECT {digests}", *[both] * len(KEPT))
    return dict(zip(KEPT, found, strict=True))


@pytest.mark.parametrize("position", [one for one in POSITIONS if one.of_all_projects], ids=str)
async def test_admin_keys_are_for_all_projects(stage: Stage, position: Position) -> None:
    """Also where they change something, which is not tried here: it would."""
    if position.route.method != "GET":
        assert position.where == "{project_id}"
        return
    for one in (stage.mine.of(position.route)[position.name], stage.other(position)):
        assert (await stage.admin.request(**stage.request(position, one))).status_code == 200


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "GET"], ids=str)
async def test_what_is_ones_own_is_there(stage: Stage, route: Route) -> None:
    """Whatever it is filtered by, and where its list goes on."""
    own = stage.mine.of(route)
    in_query = [position for position in positions(route) if position.where.startswith("?")]
    for request in (route.request(own), *(position.request(own, own[position.name]) for position in in_query)):
        answer = await stage.asks(route).request(**request)
        assert answer.status_code == 200, answer.text


@pytest.fixture
async def own(system: System, model: ScriptedModel) -> AsyncIterator[Own]:
    async with Own.of(system, model) as made:
        yield made


CHANGES = [(route, body) for route in ROUTES if route.method != "GET" for body in route.bodies]


@pytest.mark.parametrize(("route", "body"), CHANGES, ids=[str(route) for route, _ in CHANGES])
async def test_what_is_ones_own_can_be_changed(own: Own, route: Route, body: Body) -> None:
    """So that whatever else is said of these requests is not said of something that is wrong with them."""
    answer = await own.asks(route).request(**route.request(own.mine.of(route), body))

    assert answer.status_code == 200, answer.text
