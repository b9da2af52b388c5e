"""A collector: takes spans in OTLP over HTTP, as a real one does, and has the trees that they make."""

import gzip
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATH = "/v1/traces"


@dataclass(frozen=True)
class Spanned:
    """One span, as it came over the wire."""

    trace: str
    id: str
    parent: str
    name: str
    kind: int
    attributes: Mapping[str, Any]
    links: Sequence[str]
    service: str
    failed: bool
    raw: bytes


@dataclass
class Collector:
    """Everything that was sent to it."""

    spans: list[Spanned] = field(default_factory=list[Spanned])
    requests: int = 0
    headers: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])
    port: int = 0
    _came: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.port}"

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """One request of an exporter."""
        assert path == PATH, path
        assert headers["content-type"] == "application/x-protobuf"
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        with self._came:
            self.requests += 1
            self.headers.append(headers)
            self.spans.extend(_decoded(ExportTraceServiceRequest.FromString(body)))
            self._came.notify_all()

    def of(self, trace: str) -> list[Spanned]:
        """The spans of one trace."""
        with self._came:
            return [span for span in self.spans if span.trace == trace]

    def wait(self, name: str, within: timedelta = timedelta(seconds=15), **attributes: Any) -> Spanned:
        """The span of that name and with these attributes (underscores for dots), once it has come."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}

        def found() -> Spanned | None:
            return next(
                (one for one in self.spans if one.name == name and wanted.items() <= dict(one.attributes).items()), None
            )

        with self._came:
            came = self._came.wait_for(found, within.total_seconds())
            assert came, f"no {name} {wanted} among {sorted({span.name for span in self.spans})}"
            return came

    @contextmanager
    def listening(self) -> Iterator["Collector"]:
        """Serve for the block."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the standard library's name
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the standard library's name
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def tree(spans: Sequence[Spanned], root: Spanned) -> dict[str, Any]:
    """Names below a span, by name; siblings of one name are one, with the children of all."""
    below: dict[str, Any] = {}
    for span in spans:
        if span.parent == root.id:
            below[span.name] = {**below.get(span.name, {}), **tree(spans, span)}
    return below


def _decoded(request: ExportTraceServiceRequest) -> Iterator[Spanned]:
    for of_resource in request.resource_spans:
        resource = {one.key: _value(one.value) for one in of_resource.resource.attributes}
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Spanned(
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    name=span.name,
                    kind=span.kind,
                    attributes={one.key: _value(one.value) for one in span.attributes},
                    links=[link.trace_id.hex() for link in span.links],
                    service=resource["service.name"],
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    raw=span.SerializeToString(),
                )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)
