"""What code says of its spans; without traces, each of these is one look at one attribute.

A span has a name out of a small set and attributes that are ids and figures. What clients, models, files and code say
is in none, unless OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for it (`genai.py`); an error is there by its
kind, never by its message.
"""

from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, Self

Kind = Literal["internal", "server", "client", "consumer"]
Attributes = Mapping[str, Any]

PROJECT, THREAD, RUN, TERM = (f"assistantd.{name}" for name in ("project_id", "thread_id", "run_id", "term"))
ERROR = "error.type"


class Span(AbstractContextManager["Span"], Protocol):
    """One span, current for its block; an exception that leaves the block is its error."""

    def set(self, attributes: Attributes) -> None:
        """Add attributes; those that are None are left out."""
        ...

    def rename(self, name: str) -> None:
        """Give it the name that it could not have yet when it began."""
        ...


class Tracing(Protocol):
    """What `live.py` does where traces are on."""

    content: bool

    def span(self, name: str, kind: Kind, attributes: Attributes) -> Span:
        """A child of the current span, or the first of its trace."""
        ...

    def request(self, name: str, headers: Mapping[str, str], attributes: Attributes) -> Span:
        """A span of a server that goes on with its client's trace, if there is one."""
        ...

    def resumed(self, name: str, traceparent: str | None, began_ns: int, attributes: Attributes) -> Span:
        """A span that began a while ago and goes on with the trace that a row kept."""
        ...

    def past(self, name: str, began_ns: int, attributes: Attributes) -> None:
        """A child of the current span that ends now."""
        ...

    def current(self) -> Span | None:
        """The current span, if there is one that is recorded."""
        ...

    def link(self, traceparent: str) -> None:
        """The current span has to do with that other one."""
        ...

    def traceparent(self) -> str | None:
        """The current span as others are told of it."""
        ...

    def ids(self) -> tuple[str, str] | None:
        """Of the current trace and span."""
        ...

    def end(self) -> None:
        """Send what is left, for a while, and trace no more."""
        ...


class _Nothing:
    """A span where there are none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, attributes: Attributes) -> None:
        """Nobody looks."""

    def rename(self, name: str) -> None:
        """Likewise."""


NOTHING = _Nothing()


class _State:
    """Of the process."""

    tracing: Tracing | None = None


STATE = _State()


def span(name: str, attributes: Attributes | None = None, *, kind: Kind = "internal") -> Span:
    """A span for a block: a child of the current one, or the first of its trace."""
    if STATE.tracing is None:
        return NOTHING
    return STATE.tracing.span(name, kind, attributes or {})


def note(attributes: Attributes) -> None:
    """Add attributes to the current span."""
    if STATE.tracing is not None and (current := STATE.tracing.current()) is not None:
        current.set(attributes)


def past(name: str, began_ns: int) -> None:
    """A child of the current span that ends now."""
    if STATE.tracing is not None:
        STATE.tracing.past(name, began_ns, {})


def link(traceparent: str | None) -> None:
    """The current span has to do with the one that a row kept."""
    if STATE.tracing is not None and traceparent is not None:
        STATE.tracing.link(traceparent)


def traceparent() -> str | None:
    """The current span in the words of W3C's Trace Context, for a row or a header."""
    return None if STATE.tracing is None else STATE.tracing.traceparent()


def into_log(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: lines of a span bear its ids."""
    if STATE.tracing is not None and (ids := STATE.tracing.ids()) is not None:
        event["trace_id"], event["span_id"] = ids
    return event
