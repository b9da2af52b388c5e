"""What each route is asked with, in the matrix: its path, and of each POST a body that would do.

`{names}` stand for ids of what is on a stage. They are the positions in which another project's ids are tried.
"""

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

JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=b"}
PLACE = re.compile(r"\{(\w+)\}")
SEARCHED = {"file_search": {"vector_store_ids": ["{vector_store_id}"]}}
WITH_FILE = {
    "role": "user",
    "content": "x",
    "attachments": [{"file_id": "{file_id}", "tools": [{"type": "file_search"}]}],
}
ORGANIZATION = "/organization/"
OF_USAGE = ("/organization/usage/", "/organization/costs")


def _form(name: str, **fields: str) -> bytes:
    parts = [f'--b\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()]
    file = f'--b\r\ncontent-disposition: form-data; name="{name}"; filename="a.txt"\r\n\r\nx\r\n'
    return "".join([*parts, file, "--b--\r\n"]).encode()


BODIES: dict[str, Any] = {
    "/assistants": {
        "model": "x",
        "tool_resources": {"code_interpreter": {"file_ids": ["{file_id}"]}, **SEARCHED},
        "tools": [{"type": "code_interpreter"}, {"type": "file_search"}],
    },
    "/assistants/{assistant_id}": {"tool_resources": {"code_interpreter": {"file_ids": ["{file_id}"]}, **SEARCHED}},
    "/assistants/{assistant_id}/files": {"file_id": "{file_id}"},
    "/threads": {"messages": [WITH_FILE], "tool_resources": SEARCHED},
    "/threads/{thread_id}": {"tool_resources": {"code_interpreter": {"file_ids": ["{file_id}"]}, **SEARCHED}},
    "/threads/{thread_id}/messages": WITH_FILE,
    "/threads/{thread_id}/messages/{message_id}": {"metadata": {}},
    "/threads/{thread_id}/runs": {"assistant_id": "{assistant_id}", "additional_messages": [WITH_FILE]},
    "/threads/{thread_id}/runs/{run_id}": {"metadata": {}},
    "/threads/{thread_id}/runs/{run_id}/cancel": None,
    "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs": {"tool_outputs": [{"tool_call_id": "x", "output": "x"}]},
    "/threads/runs": {
        "assistant_id": "{assistant_id}",
        "thread": {"messages": [WITH_FILE]},
        "tool_resources": {"code_interpreter": {"file_ids": ["{file_id}"]}, **SEARCHED},
    },
    "/files": _form("file", purpose="assistants"),
    "/uploads": {"filename": "a.txt", "bytes": 1, "mime_type": "text/plain", "purpose": "assistants"},
    "/uploads/{upload_id}/parts": _form("data"),
    "/uploads/{upload_id}/complete": {"part_ids": ["{part_id}"]},
    "/uploads/{upload_id}/cancel": None,
    "/vector_stores": {"file_ids": ["{file_id}"]},
    "/vector_stores/{vector_store_id}": {"name": "x"},
    "/vector_stores/{vector_store_id}/search": {"query": "x"},
    "/vector_stores/{vector_store_id}/files": {"file_id": "{file_id}"},
    "/vector_stores/{vector_store_id}/files/{file_id}": {"attributes": {}},
    "/vector_stores/{vector_store_id}/file_batches": {"file_ids": ["{file_id}"]},
    "/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel": None,
    "/organization/projects": {"name": "x"},
    "/organization/projects/{project_id}": {"name": "x"},
    "/organization/projects/{project_id}/archive": None,
    "/organization/projects/{project_id}/rate_limits/{rate_limit_id}": {"max_requests_per_1_minute": 2147483647},
    "/organization/projects/{project_id}/service_accounts": {"name": "x"},
    "/organization/projects/{project_id}/service_accounts/{service_account_id}": {"name": "x"},
    "/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys": {},
    "/organization/admin_api_keys": {"name": "x"},
    "/organization/projects/{project_id}/spend_limit": {"threshold_amount": 100},
}
"""By path, of each POST there is: an object, or a form's bytes; None where none is taken."""


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

    def places(self) -> list[str]:
        """Where ids stand, in path and body; the names of models, and ids made of them, belong to nobody."""
        found = PLACE.findall(self.path + self._content().decode())
        return [name for name in dict.fromkeys(found) if name not in ("model", "rate_limit_id")]

    def in_body(self, place: str) -> bool:
        """Does an id stand there only in the body?"""
        return f"{{{place}}}" not in self.path

    def request(self, ids: Mapping[str, str]) -> dict[str, Any]:
        """Arguments of a client's `request`, with these ids in all places."""
        content = self._content()
        kind = FORM if content.startswith(b"--") else JSON
        headers = {**(kind if content else {}), **({"openai-beta": "assistants=v1"} if self.v1 else {})}
        return {
            "method": self.method,
            "url": _filled(self.path, ids) + ("?start_time=1" if self.path.startswith(OF_USAGE) else ""),
            "content": _filled(content.decode(), ids).encode(),
            "headers": headers,
        }

    def _content(self) -> bytes:
        body = BODIES.get(self.path) if self.method == "POST" else None
        return body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)


def _filled(text: str, ids: Mapping[str, str]) -> str:
    return PLACE.sub(lambda match: ids[match[1]], text)


def routes() -> Iterator[Route]:
    """Every route of the application that takes a key."""
    application = create_app(Settings(database_url="postgresql://", redis_url="redis://"))
    for context in iter_route_contexts(application.routes):
        route, path = context.original_route, (context.path_format or "").removeprefix("/v1")
        if isinstance(route, JsonRoute):
            for method in sorted(context.methods or ()):
                yield Route(method, path, isinstance(route, V1Route), scope_of(path, [method]))
