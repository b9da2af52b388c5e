"""Usage and costs on the wire."""

import base64
import binascii
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeVar

from shared.database import Row
from shared.errors import InvalidRequest
from shared.usage.prices import NOTHING, Item
from shared.usage.reading import Bills, Found, Span, total
from shared.wire.objects import seconds
from shared.wire.shapes.usage import (
    Amount,
    Bucket,
    BucketsPage,
    CodeUsage,
    CompletionsUsage,
    Costs,
    EmbeddingsUsage,
    FileSearchUsage,
    StoresUsage,
    UsageFacts,
)

T = TypeVar("T")

Width = Literal["1m", "1h", "1d"]
WIDTHS: Mapping[Width, timedelta] = {
    "1m": timedelta(minutes=1),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
LIMITS: Mapping[Width, tuple[int, int]] = {"1m": (60, 1440), "1h": (24, 168), "1d": (7, 31)}
"""Buckets of a page: unless said otherwise, and at most."""
COSTS_LIMITS = (7, 180)
KNOWN_BY_THE_MINUTE = timedelta(days=2)

_CURSOR = struct.Struct(">q")
_PREFIX = "page_"


class Wanted(NamedTuple):
    """A page of buckets, as it was asked for."""

    span: Span
    limit: int

    def buckets(self) -> list[tuple[datetime, datetime]]:
        """Those of the page, and the first of the next one, if there is one."""
        return self.span.buckets(self.limit + 1)

    def shown(self) -> Span:
        """What the page's buckets cover."""
        ends = [end for _, end in self.buckets()[: self.limit]]
        return Span(self.span.start, ends[-1] if ends else self.span.start, self.span.width)


def wanted(
    start_time: int, end_time: int | None, width: Width, limit: int | None, page: str | None, limits: tuple[int, int]
) -> Wanted:
    """The buckets that are asked for. Raises InvalidRequest."""
    usual, most = limits
    if limit is not None and not 1 <= limit <= most:
        message = f"Invalid 'limit': expected 1 to {most} with buckets of {width}, but got {limit}."
        raise InvalidRequest(message, param="limit", code="invalid_value")
    now = datetime.now(UTC)
    end = now if end_time is None else _instant(end_time)
    begins = _instant(start_time)
    if end_time is not None and end_time <= start_time:
        raise InvalidRequest("Invalid 'end_time': it has to be later than 'start_time'.", param="end_time")
    start = begins if page is None else _place(page)
    if not begins <= start:
        raise _no_page(page)
    if width == "1m" and start < now - KNOWN_BY_THE_MINUTE:
        message = "Usage is known by the minute for two days; before that ask for a 'bucket_width' of 1h or 1d."
        raise InvalidRequest(message, param="bucket_width", code="invalid_value")
    return Wanted(Span(start, end, WIDTHS[width]), usual if limit is None else limit)


def buckets_page(asked: Wanted, found: Mapping[datetime, Sequence[T]]) -> BucketsPage[T]:
    """A page of buckets with these results."""
    buckets = asked.buckets()
    data: list[Bucket[T]] = [
        {
            "object": "bucket",
            "start_time": seconds(start),
            "end_time": seconds(end),
            "results": list(found.get(start, ())),
        }
        for start, end in buckets[: asked.limit]
    ]
    has_more = len(buckets) > asked.limit
    following = _cursor(buckets[-1][0]) if has_more else None
    return {"object": "page", "data": data, "has_more": has_more, "next_page": following}


def rendered(found: Found, render: Callable[[Row], T]) -> dict[datetime, list[T]]:
    """Rows as results."""
    return {start: [render(row) for row in rows] for start, rows in found.items()}


def completions(row: Row) -> CompletionsUsage:
    """A row of `reading.counts`."""
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": row["input_tokens"],
        "input_cached_tokens": row["cached_tokens"],
        "input_uncached_tokens": row["input_tokens"] - row["cached_tokens"],
        "output_tokens": row["output_tokens"],
        "num_model_requests": row["requests"],
        "project_id": _named(row, "project_id"),
        "user_id": None,
        "api_key_id": _named(row, "api_key_id"),
        "model": _named(row, "subject"),
        "batch": None,
        "service_tier": None,
    }


def embeddings(row: Row) -> EmbeddingsUsage:
    """Likewise."""
    return {
        "object": "organization.usage.embeddings.result",
        "input_tokens": row["input_tokens"],
        "num_model_requests": row["requests"],
        "project_id": _named(row, "project_id"),
        "user_id": None,
        "api_key_id": _named(row, "api_key_id"),
        "model": _named(row, "subject"),
    }


def file_searches(row: Row) -> FileSearchUsage:
    """Likewise."""
    return {
        "object": "organization.usage.file_searches.result",
        "num_requests": row["requests"],
        "project_id": _named(row, "project_id"),
        "user_id": None,
        "api_key_id": _named(row, "api_key_id"),
        "vector_store_id": _named(row, "subject"),
    }


def code_sessions(row: Row) -> CodeUsage:
    """Likewise."""
    return {
        "object": "organization.usage.code_interpreter_sessions.result",
        "num_sessions": row["requests"],
        "project_id": _named(row, "project_id"),
    }


def vector_stores(row: Row) -> StoresUsage:
    """A row of `reading.stored`."""
    return {
        "object": "organization.usage.vector_stores.result",
        "usage_bytes": row["bytes"],
        "project_id": _named(row, "project_id"),
    }


def costs(bills: Bills, *, by_item: bool) -> dict[datetime, list[Costs]]:
    """Bills as results, one for each combination of what they are told apart by."""
    return {start: [*_costs(lines, by_item=by_item)] for start, lines in bills.items()}


def _costs(lines: Iterable[tuple[Row, Item]], *, by_item: bool) -> Iterable[Costs]:
    groups: dict[tuple[Any, ...], tuple[Row, list[Item]]] = {}
    for row, item in lines:
        key = (*row.values(), *((item.name, item.unit) if by_item else ()))
        groups.setdefault(key, (row, []))[1].append(item)
    for row, items in groups.values():
        quantity = sum((item.quantity for item in items), NOTHING)
        yield {
            "object": "organization.costs.result",
            "amount": amount(total(items)),
            "line_item": items[0].name if by_item else None,
            "project_id": _named(row, "project_id"),
            "api_key_id": _named(row, "api_key_id"),
            "quantity": _number(quantity) if by_item else None,
            "quantity_unit": items[0].unit if by_item else None,
        }


def usage_facts(items: Sequence[Item]) -> UsageFacts:
    """What something has used, and what that costs."""
    merged: dict[str, Item] = {}
    for item in items:
        merged[item.name] = item if item.name not in merged else merged[item.name].plus(item)
    return {
        "cost": amount(total(items)),
        "line_items": [
            {
                "line_item": item.name,
                "quantity": _number(item.quantity),
                "quantity_unit": item.unit,
                "amount": amount(item.amount),
            }
            for item in merged.values()
        ],
    }


def amount(dollars: Decimal) -> Amount:
    """Dollars, which up to here were exact."""
    return {"value": float(dollars), "currency": "usd"}


def _number(quantity: Decimal) -> float:
    return int(quantity) if quantity == quantity.to_integral_value() else float(quantity)


def _named(row: Row, dimension: str) -> str | None:
    return row.get(dimension) or None


def _instant(unix_time: int) -> datetime:
    return datetime.fromtimestamp(unix_time, UTC)


def _cursor(place: datetime) -> str:
    return _PREFIX + base64.urlsafe_b64encode(_CURSOR.pack(seconds(place))).decode()


def _place(page: str) -> datetime:
    try:
        (unix_time,) = _CURSOR.unpack(base64.urlsafe_b64decode(page.removeprefix(_PREFIX)))
        return _instant(unix_time)
    except (binascii.Error, struct.error, ValueError, OverflowError, OSError):
        raise _no_page(page) from None


def _no_page(page: str | None) -> InvalidRequest:
    return InvalidRequest(f"Invalid 'page': '{page}' is none of this list's.", param="page", code="invalid_value")
