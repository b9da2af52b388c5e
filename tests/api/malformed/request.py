"""A malformed request, and what is said of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.api.malformed.refusals import Refusal

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Malformed:
    """`{names}` in the path and in the content stand for what is on the stage: see tests/api/test_malformed.py."""

    method: str
    path: str
    refusal: Refusal
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        """The test's name."""
        content = self.content[:80].decode(errors="replace")
        return f"{self.method} {self.path} {content}".encode("unicode_escape").decode().replace("::", ":").strip()


def post(path: str, body: Any, refusal: Refusal, **headers: str) -> Malformed:
    """A POST with a JSON body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Malformed("POST", path, refusal, json.dumps(body).encode(), {**JSON, **named})


def raw(path: str, content: bytes, refusal: Refusal, kind: str = "application/json") -> Malformed:
    """A POST of these bytes."""
    return Malformed("POST", path, refusal, content, {"content-type": kind})


def form(
    fields: Mapping[str, str | list[str]],
    refusal: Refusal,
    filename: str | None = "a.txt",
    *,
    path: str = "/files",
    name: str = "file",
) -> Malformed:
    """An upload, in the form's field of that name."""
    files = None if filename is None else {name: (filename, b"content")}
    kind = {"content-type": "multipart/form-data; boundary=boundary"}
    made = httpx2.Request("POST", "http://host/files", data=fields, files=files or {"nothing": b""}, headers=kind)
    return Malformed("POST", path, refusal, made.read(), kind)


def bare(method: str, path: str, refusal: Refusal) -> Malformed:
    """A request without a body."""
    return Malformed(method, path, refusal)
