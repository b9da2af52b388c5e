"""Spans where they are wanted: OpenTelemetry's SDK, which sends them over HTTP from a thread of its own.

The SDK reads OTEL_* itself: endpoint, headers, compression, timeouts, sampler, limits, batches, resource. A process's
own provider is used and no global one, so that libraries which would trace by themselves stay silent.
An endpoint that is away costs nothing but the spans: the queue is bounded, and what doesn't fit is dropped.
"""

import logging
import threading
from collections.abc import Mapping
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import get_global_textmap
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.tracing.genai import SCHEMA
from shared.tracing.spans import ERROR, STATE, Attributes, Kind

KINDS: Mapping[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}
END_WITHIN_S = 2.0  # at the end of the process, for the last spans

if TYPE_CHECKING:
    from contextvars import Token

_W3C = TraceContextTextMapPropagator()


class LiveSpan:
    """A span that is recorded, if the sampler wants it."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        del trace_
        if self._token is not None:
            context.detach(self._token)
        if kind is not None:
            self.set({ERROR: getattr(error, "error_type", kind.__name__)})
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    def set(self, attributes: Attributes) -> None:
        """Add attributes; those that are None are left out."""
        self._span.set_attributes(_told(attributes))
        if ERROR in attributes:
            self._span.set_status(Status(StatusCode.ERROR))

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._span.update_name(name)


class LiveTracing:
    """The traces of one process."""

    def __init__(self, provider: TracerProvider, *, content: bool) -> None:
        self.content = content
        self._provider = provider
        self._tracer = provider.get_tracer("assistantd", version("assistantd"), schema_url=SCHEMA)

    def span(self, name: str, kind: Kind, attributes: Attributes) -> LiveSpan:
        """A child of the current span, or the first of its trace."""
        return LiveSpan(self._tracer.start_span(name, kind=KINDS[kind], attributes=_told(attributes)))

    def request(self, name: str, headers: Mapping[str, str], attributes: Attributes) -> LiveSpan:
        """A span of a server that goes on with its client's trace, if there is one."""
        parent = get_global_textmap().extract(headers, Context())
        return LiveSpan(self._tracer.start_span(name, parent, SpanKind.SERVER, _told(attributes)))

    def resumed(self, name: str, traceparent: str | None, began_ns: int, attributes: Attributes) -> LiveSpan:
        """A span that began a while ago and goes on with the trace that a row kept."""
        parent = Context() if traceparent is None else _W3C.extract({"traceparent": traceparent}, Context())
        span = self._tracer.start_span(name, parent, SpanKind.CONSUMER, _told(attributes), start_time=began_ns)
        return LiveSpan(span)

    def past(self, name: str, began_ns: int, attributes: Attributes) -> None:
        """A child of the current span that ends now."""
        self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=_told(attributes), start_time=began_ns).end()

    def current(self) -> LiveSpan | None:
        """The current span, if there is one that is recorded."""
        span = trace.get_current_span()
        return LiveSpan(span) if span.is_recording() else None

    def link(self, traceparent: str) -> None:
        """The current span has to do with that other one."""
        other = trace.get_current_span(_W3C.extract({"traceparent": traceparent}, Context())).get_span_context()
        if other.is_valid:
            trace.get_current_span().add_link(other)

    def traceparent(self) -> str | None:
        """The current span as others are told of it."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get("traceparent")

    def ids(self) -> tuple[str, str] | None:
        """Of the current trace and span."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id)

    def end(self) -> None:
        """Send what is left, for a while: an endpoint that is away keeps no process from ending."""
        STATE.tracing = None
        last = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        last.start()
        last.join(END_WITHIN_S)


def begin(part: str, *, content: bool) -> None:
    """Trace from now on. The names of service and instance are those of OTEL_*, where these give any."""
    ours = Resource({"service.name": f"assistantd-{part}", "service.version": version("assistantd")})
    provider = TracerProvider(
        resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)  # of each try it would tell
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    STATE.tracing = LiveTracing(provider, content=content)


def _told(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
