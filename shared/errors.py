"""What can go wrong that a client should hear about.

    AssistantdError
    ├── NotFound          an id that doesn't exist in the caller's project
    │   └── UnknownModel  a model that nobody has
    ├── InvalidRequest    a request that can't be carried out as it stands
    ├── TooLarge          a body or file beyond its limit
    ├── RateLimited       more than the project may do in a minute
    └── NoQuota           what the project may spend in a month is spent

A message here is the sentence that the client reads; which HTTP status it travels under is decided in `api/errors.py`.
"""

from datetime import timedelta
from typing import Literal, TypeVar

T = TypeVar("T")


class AssistantdError(Exception):
    """Base of all errors that are the caller's to know.

    `param` names the field at fault in the request's own spelling, `code` is OpenAI's machine-readable word, `kind` its
    word for errors of this sort.
    """

    kind: str = "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class NotFound(AssistantdError):
    """No such object in this project: other projects' objects are not told apart from nonexistent ones."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(f"No {kind} found with id '{object_id}'.")


def found(thing: T | None, kind: str, object_id: str) -> T:
    """The thing, if there is one. Raises NotFound."""
    if thing is None:
        raise NotFound(kind, object_id)
    return thing


class UnknownModel(NotFound):
    """Neither an alias nor a model of the endpoint."""

    def __init__(self, model: str) -> None:
        AssistantdError.__init__(self, f"The model '{model}' does not exist.", param="model", code="model_not_found")


class InvalidRequest(AssistantdError):
    """The request contradicts the contract or the state of what it is about."""


class TooLarge(AssistantdError):
    """More bytes than the contract allows."""


class RateLimited(AssistantdError):
    """More requests, or tokens, than the project may use in a minute; `retry_after` is when it may again."""

    def __init__(self, message: str, kind: Literal["requests", "tokens"], retry_after: timedelta) -> None:
        super().__init__(message, code="rate_limit_exceeded")
        self.kind = kind
        self.retry_after = retry_after


class NoQuota(AssistantdError):
    """The project has spent what it may in this month."""

    kind = "insufficient_quota"

    def __init__(self, message: str) -> None:
        super().__init__(message, code="insufficient_quota")
