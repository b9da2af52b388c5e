"""What all objects have in common: times in whole seconds, lists, deletions."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar, overload

from shared.database import Row
from shared.table import Listing
from shared.wire.shapes.lists import Deleted, KindDeleted, ListObject

Object = Mapping[str, Any]
"""An OpenAI object of any kind; what each looks like is said in `shapes`."""

Shown = TypeVar("Shown", bound=Object)


@overload
def seconds(instant: datetime) -> int: ...
@overload
def seconds(instant: None) -> None: ...
def seconds(instant: datetime | None) -> int | None:
    """Unix time; None stays None."""
    return None if instant is None else int(instant.timestamp())


def listing(page: Listing, render: Callable[[Row], Shown]) -> ListObject[Shown]:
    """A page of a list. An empty one has null ids, which ends the paging of clients that ignore `has_more`."""
    return list_object([render(row) for row in page.rows], has_more=page.has_more)


def list_object(data: list[Shown], *, has_more: bool = False) -> ListObject[Shown]:
    """OpenAI's list object around `data`."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def deleted(kind: KindDeleted, object_id: str) -> Deleted:
    """The answer to a deletion."""
    return {"id": object_id, "object": kind, "deleted": True}
