"""What all kinds of objects have in common: pages, deletions, errors."""

from typing import Generic, Literal, TypeVar

from typing_extensions import TypedDict

T = TypeVar("T")


class ListObject(TypedDict, Generic[T]):
    """A page of a list; an empty one has null ids."""

    object: Literal["list"]
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


KindDeleted = Literal[
    "assistant.deleted",
    "assistant.file.deleted",
    "file",
    "organization.admin_api_key.deleted",
    "organization.project.api_key.deleted",
    "organization.project.service_account.deleted",
    "thread.deleted",
    "thread.message.deleted",
    "vector_store.deleted",
    "vector_store.file.deleted",
]


class Deleted(TypedDict):
    """Something is gone."""

    id: str
    object: KindDeleted
    deleted: Literal[True]


class ErrorObject(TypedDict):
    """What was wrong; all four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class Envelope(TypedDict):
    """An error."""

    error: ErrorObject
