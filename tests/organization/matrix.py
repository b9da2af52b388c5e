"""The routes of the application, what each is asked with, and each position in which ids stand."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi.routing import iter_route_contexts

from api.app import create_app
from api.json_route import JsonRoute, V1Route
from api.scopes import scope_of
from shared.settings import Settings
from tests.organization import described
from tests.organization.bodies import BODIES, NO_BODY, Body

JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=b"}
V1 = {"openai-beta": "assistants=v1"}
PLACE = re.compile(r"\{(\w+)\}")
ORGANIZATION = "/organization/"
OF_USAGE = ("/organization/usage/", "/organization/costs")

LISTS = {
    "/assistants": "assistant_id",
    "/assistants/{assistant_id}/files": "file_id",
    "/threads": "thread_id",
    "/threads/{thread_id}/messages": "message_id",
    "/threads/{thread_id}/messages/{message_id}/files": "file_id",
    "/threads/{thread_id}/runs": "run_id",
    "/threads/{thread_id}/runs/{run_id}/steps": "step_id",
    "/files": "file_id",
    "/vector_stores": "vector_store_id",
    "/vector_stores/{vector_store_id}/files": "file_id",
    "/vector_stores/{vector_store_id}/file_batches/{batch_id}/files": "file_id",
    "/organization/projects": "project_id",
    "/organization/projects/{project_id}/api_keys": "api_key_id",
    "/organization/projects/{project_id}/service_accounts": "service_account_id",
    "/organization/projects/{project_id}/rate_limits": "rate_limit_id",
    "/organization/admin_api_keys": "key_id",
    "/organization/audit_logs": "audit_log_id",
}
"""What each list is of, by whose ids it goes on."""

FILTERS = {
    "run_id": "run_id",
    "project_ids": "project_id",
    "api_key_ids": "api_key_id",
    "vector_store_ids": "vector_store_id",
    "actor_ids": "api_key_id",
    "resource_ids": "thread_id",
}

NOBODYS_OWN = ("model", "rate_limit_id")
"""Names of models, and ids made of them, belong to no project."""


@dataclass(frozen=True)
class Route:
    """An operation that takes a key."""

    method: str
    path: str
    v1: bool
    scope: str

    def __str__(self) -> str:
        """The test's name."""
        return f"{self.method} {self.path}"

    @property
    def of_organization(self) -> bool:
        """Is it for admin keys?"""
        return self.path.startswith(ORGANIZATION)

    @property
    def bodies(self) -> tuple[Body, ...]:
        """Those that would do."""
        return BODIES[self.path] if self.method == "POST" else (NO_BODY,)

    def asks_for_something(self) -> bool:
        """Does its first request name anything that has to be there?"""
        return PLACE.search(self.path) is not None or self.names() != []

    def names(self) -> list[str]:
        """Whose ids stand in the path and the body of its first request."""
        found = [*PLACE.findall(self.path), *(name for _, name in _in_body(self.bodies[0].content, ""))]
        return [name for name in dict.fromkeys(found) if name not in NOBODYS_OWN]

    def request(
        self, ids: Mapping[str, str], body: Body | None = None, instead: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Arguments of a client's `request` with these ids, and others `instead` in some positions."""
        body, others = body or self.bodies[0], instead or {}
        path = PLACE.sub(lambda place: others.get(place[0], ids[place[1]]), self.path)
        queries = {where.removeprefix("?"): others[where] for where in others if where.startswith("?")}
        if self.path.startswith(OF_USAGE):
            queries["start_time"] = "1"
        match body.content:
            case None:
                kind, content = {}, b""
            case bytes():
                kind, content = FORM, body.content
            case _:
                kind, content = JSON, orjson.dumps(_filled(body.content, ids, others, ""))
        headers = {**kind, **(V1 if self.v1 or body.v1 else {})}
        return {"method": self.method, "url": path, "params": queries, "content": content, "headers": headers}


@dataclass(frozen=True)
class Position:
    """Where an id stands in a request, and of what. It is spelt as in `tests/organization/described.py`, but that
    things in lists are counted.
    """

    route: Route
    body: Body
    where: str
    name: str

    def __str__(self) -> str:
        """The test's name."""
        return f"{self.route} {self.where}"

    @property
    def place(self) -> str:
        """How the description spells it."""
        return re.sub(r"\[\d+\]", "[]", self.where)

    @property
    def in_body(self) -> bool:
        """Else it is in the path or the query."""
        return not self.where.startswith(("{", "?"))

    @property
    def of_all_projects(self) -> bool:
        """Does it ask an admin key for something, whichever project has it? What is within a project is asked for by
        the project's id too, which a project's key never says, and keys to the administration belong to none.
        """
        if not self.route.of_organization:
            return False
        named = self.route.names()
        within = "project_id" in named and (len(named) > 1 or self.where != "{project_id}")
        return not within and self.name != "key_id"

    def request(self, ids: Mapping[str, str], other: str) -> dict[str, Any]:
        """Arguments of a client's `request` with these ids, and the `other` in this position."""
        return self.route.request(ids, self.body, {self.where: other})


def _filled(value: Any, ids: Mapping[str, str], others: Mapping[str, str], where: str) -> Any:
    match value:
        case dict():
            return {key: _filled(one, ids, others, _beneath(where, key)) for key, one in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case list():
            return [_filled(one, ids, others, f"{where}[{n}]") for n, one in enumerate(value)]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case str() if name := PLACE.fullmatch(value):
            return others.get(where, ids[name[1]])
        case _:
            return value


def _in_body(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Where ids stand in a body, and of what."""
    match value:
        case dict():
            for key, one in value.items():  # pyright: ignore[reportUnknownVariableType]
                yield from _in_body(one, _beneath(where, key))  # pyright: ignore[reportUnknownArgumentType]
        case list():
            for n, one in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
                yield from _in_body(one, f"{where}[{n}]")
        case str() if (name := PLACE.fullmatch(value)) and name[1] != "new_name":
            yield where, name[1]
        case _:
            pass


def _beneath(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _in_query(route: Route) -> Iterator[tuple[str, str]]:
    """Raises KeyError for a filter or a list of which it isn't said whose ids it takes."""
    for where in sorted(described.places(route.method, route.path)):
        if where.startswith("?"):
            name = where.removeprefix("?").removesuffix("[]")
            yield where, LISTS[route.path] if name in described.CURSORS else FILTERS[name]


def positions(route: Route) -> list[Position]:
    """Every position of a route in which what might be another project's is named, each once."""
    found: dict[str, Position] = {}
    named = [(place[0], place[1]) for place in PLACE.finditer(route.path)]
    for body in route.bodies:
        for where, name in (*named, *_in_query(route), *_in_body(body.content, "")):
            if name not in NOBODYS_OWN:
                found.setdefault(where, Position(route, body, where, name))
    return list(found.values())


def routes() -> Iterator[Route]:
    """Every route of the application that takes a key."""
    application = create_app(Settings(database_url="postgresql://", redis_url="redis://"))
    for context in iter_route_contexts(application.routes):
        route, path = context.original_route, (context.path_format or "").removeprefix("/v1")
        if isinstance(route, JsonRoute):
            for method in sorted(context.methods or ()):
                yield Route(method, path, isinstance(route, V1Route), scope_of(path, [method]))


ROUTES = list(routes())
POSITIONS = [position for route in ROUTES for position in positions(route)]
OF_OTHERS = [position for position in POSITIONS if not position.of_all_projects]
