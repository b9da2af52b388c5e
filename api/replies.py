"""Answers in JSON. A handler's signature says what is in them: our OpenAPI is made of it, and it is held by types."""

from typing import Generic, TypeVar

import orjson
from fastapi.responses import Response

T = TypeVar("T")


class Reply(Response, Generic[T]):
    """An answer that holds a `T`, one of the shapes of the wire; to whoever sends it, bytes."""

    media_type = "application/json"


def reply(body: T, headers: dict[str, str] | None = None) -> Reply[T]:
    """A JSON answer, serialised once and not looked at."""
    return Reply(orjson.dumps(body), headers=headers)
