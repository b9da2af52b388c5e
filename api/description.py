"""Our OpenAPI: what FastAPI makes of requests, and what it can't know: what answers hold, which errors there are, and
where the ids in answers lead.

It is all derived: answers from the return annotations of handlers, errors from what an operation takes, links from
the ids that kinds of objects have. It is made when somebody asks for it, so that nothing starts or serves more slowly.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema
from typing_extensions import override

from api import links
from api.downloads import Download
from api.errors import (
    INTERNAL,
    NO_SUCH_RANGE,
    OK,
    PARTIAL_CONTENT,
    STATUS,
    UNAUTHORIZED,
    UNAVAILABLE,
)
from api.json_route import FORM, JSON, JsonRoute
from api.replies import Reply
from api.sse import EventStream
from shared.errors import InvalidRequest, NotFound, RateLimited, TooLarge
from shared.wire.shapes.lists import Envelope

Json = dict[str, Any]
Operation = tuple[str, str]
"""Method, in lower case, and path."""

ADMINISTRATION = "/v1/organization/"  # which has no limits
COMPONENTS = "#/components/schemas/{model}"
STREAM: Json = {"text/event-stream": {"schema": {"type": "string"}}}
BYTES: Json = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")  # of its answers with 422, of which we give none

SAID = {
    STATUS[InvalidRequest]: "Something is wrong with the request; the message says what.",
    UNAUTHORIZED: "There is no such key, or it does not open this.",
    STATUS[NotFound]: "There is no such object.",
    STATUS[TooLarge]: "The body is too large.",
    STATUS[RateLimited]: "The project has used up what it may use in a minute, or spend in a month; it says which.",
    NO_SUCH_RANGE: "The file has none of these bytes.",
    INTERNAL: "The fault is ours.",
    UNAVAILABLE: "Something that we depend on is away; try again.",
}


class Application(FastAPI):
    """FastAPI's application, which describes itself whole."""

    @override
    def openapi(self) -> Json:
        """The document; made at the first call."""
        if self.openapi_schema is None:
            self.openapi_schema = described(super().openapi(), iter_route_contexts(self.routes))
        return self.openapi_schema


def described(document: Json, routes: Iterable[RouteContext]) -> Json:
    """FastAPI's document, completed."""
    answers: dict[Operation, list[Any]] = {}
    for route in routes:
        if route.endpoint is None or route.path_format is None or not route.include_in_schema:
            continue
        for method in route.methods or ():
            answers[method.lower(), route.path_format] = _parts(inspect.signature(route.endpoint).return_annotation)
        _describe_errors(document, route)
    _drop_nulls(document)
    references = _define(document, {shape for parts in answers.values() for shape in _shapes(parts)} | {Envelope})
    for (method, path), parts in answers.items():
        responses = document["paths"][path][method]["responses"]
        responses[str(OK)]["content"] = _content(parts, references)
        if Download in parts:
            responses[str(PARTIAL_CONTENT)] = {"description": "The range that was asked for.", "content": BYTES}
    links.add(document, {place: shape for place, parts in answers.items() for shape in _shapes(parts)})
    return document


class _Closed(GenerateJsonSchema):
    """Shapes have the keys that they have, and no others."""

    @override
    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> Json:
        return super().typed_dict_schema(schema) | {"additionalProperties": False}


def _parts(annotation: Any) -> list[Any]:
    """The kinds of answers that an annotation allows."""
    return [annotation] if get_origin(annotation) is Reply or not get_args(annotation) else list(get_args(annotation))


def _shapes(parts: Iterable[Any]) -> Iterator[Any]:
    """What the answers in JSON among them hold."""
    for part in parts:
        if get_origin(part) is Reply:
            yield from get_args(part)


def _define(document: Json, shapes: Iterable[Any]) -> Mapping[Any, Json]:
    """Add schemas of shapes to the components; returns references to them."""
    inputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        (shape, "validation", TypeAdapter(shape)) for shape in shapes
    ]
    made, definitions = TypeAdapter.json_schemas(inputs, ref_template=COMPONENTS, schema_generator=_Closed)
    schemas = {**definitions["$defs"], **document["components"]["schemas"]}  # parts of requests are parts of answers
    for name in FASTAPIS_OWN:
        del schemas[name]
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return {shape: schema for (shape, _), schema in made.items()}


def _drop_nulls(document: Json) -> None:
    """Neither forms nor addresses nor headers have a word for null; and forms have no fields but theirs."""
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        for parameter in operation.get("parameters", []):
            parameter["schema"] = _never_null(parameter["schema"])
        content = operation.get("requestBody", {}).get("content", {})
        if FORM in content:
            schema = document["components"]["schemas"][content[FORM]["schema"]["$ref"].rpartition("/")[2]]
            schema["additionalProperties"] = False
            schema["properties"] = {name: _never_null(field) for name, field in schema["properties"].items()}


def _never_null(schema: Json) -> Json:
    given = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**given[0], **others} if len(given) == 1 else schema


def _content(parts: Iterable[Any], references: Mapping[Any, Json]) -> Json:
    """Of a good answer, by its type."""
    content: Json = {}
    for part in parts:
        if get_origin(part) is Reply:
            content[JSON] = {"schema": references[get_args(part)[0]]}
        elif part is Download:
            content |= BYTES
        elif issubclass(part, EventStream):
            content |= STREAM
    return content


def _describe_errors(document: Json, route: RouteContext) -> None:
    """What an operation with a key can answer instead; those without have no errors but their own."""
    envelope = {JSON: {"schema": {"$ref": COMPONENTS.format(model=Envelope.__name__)}}}
    for method in route.methods or ():
        operation = document["paths"][route.path_format][method.lower()]
        operation["responses"].pop("422", None)
        if isinstance(route.original_route, JsonRoute):
            for status in _errors(operation, route):
                operation["responses"][str(status)] = {"description": SAID[status], "content": envelope}


def _errors(operation: Json, route: RouteContext) -> Iterator[int]:
    """Which errors there are."""
    takes_body = "requestBody" in operation
    yield STATUS[InvalidRequest]
    yield UNAUTHORIZED
    if "{" in (route.path_format or "") or takes_body:
        yield STATUS[NotFound]
    if "POST" in (route.methods or ()):
        yield STATUS[TooLarge]
    if route.endpoint is not None and inspect.signature(route.endpoint).return_annotation is Download:
        yield NO_SUCH_RANGE
    if not (route.path_format or "").startswith(ADMINISTRATION):
        yield STATUS[RateLimited]
    yield INTERNAL
    yield UNAVAILABLE
